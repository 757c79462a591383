// Nobody else has these names: here the reference is its own oracle. Reactors of others keep to the same
// rules behind other interfaces.
