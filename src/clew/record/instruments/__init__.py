"""What users wrap code with."""
