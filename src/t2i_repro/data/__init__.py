"""Raw layouts, stand-ins, captions, the prepared form and batches. Only `batches` imports torch."""
