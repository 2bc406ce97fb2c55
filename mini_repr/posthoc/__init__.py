"""What is done after training, to embeddings from anywhere or to a trained network.

``mini-repr posthoc NAME FILE.npz|RUN`` applies what takes rows; ``pages_of("procedure")`` lists it all.
"""
