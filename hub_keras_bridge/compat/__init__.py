"""Private names of TensorFlow and Keras, and where their versions differ: nowhere else."""
