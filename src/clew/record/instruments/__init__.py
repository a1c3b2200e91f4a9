"""What users wrap their code with."""
