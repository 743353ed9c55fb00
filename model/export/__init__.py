"""From a checkpoint to the artifact that workers load: graph, precision, proof, release."""
