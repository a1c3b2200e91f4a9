"""Model calls of any function or client: recorded, tried again, and handed to the next model."""
