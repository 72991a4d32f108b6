"""Raw layouts, stand-ins, captions, prepared datasets and batches. Only the two modules of batches import torch."""
