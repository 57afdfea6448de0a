"""The paper's tables and figures, and the ablations it lacks, on four collections."""
