graph_inference = graph_training = None
