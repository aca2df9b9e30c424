"""What llama-server loads beside the model and its context: an MTP context, a draft model, a projector.

Each is a part of its own on every device that it takes memory of: mtp.py, draft.py and projector.py find them, loaded.py puts
them together for one placement of the model; files.py is what a person names."""
