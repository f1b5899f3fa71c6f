package ring

// The frozen settings, for the test that they and their text say the same.
const (
	Replicas = replicas
	Load     = load
	Settings = settings
)
