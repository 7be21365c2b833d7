"""Training formats: what trainers accept, written from the derived files of a run."""
