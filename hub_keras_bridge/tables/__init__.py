"""Files of examples and files of results, batch by batch.

``formats`` names the formats; ``rows`` and ``arrays`` read them, ``reader``
makes batches of them, ``columns`` tensors; ``writer`` writes, ``files`` says
when a file is there.
"""
