"""Parts of `state_delta`: what a state is, how it changed, and which changes break it."""
