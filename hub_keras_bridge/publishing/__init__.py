"""From a module_fn, a SavedModel or a file of embeddings to a ModuleSpec."""
