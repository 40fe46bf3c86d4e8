"""From sensors to a clip: calibrate, synchronise, detect, associate, reconstruct, solve."""
