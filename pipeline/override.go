package pipeline

// Overrides are what the command line says over the configuration; empty fields say nothing. Model is that of the default detector.
type Overrides struct {
	Model, Tiles, Listen, NDJSON, Pace string
	Loop                               bool
}

// Apply writes the overrides into the configuration and adds a camera for every source.
func (o Overrides) Apply(c *Config, sources []string) {
	override(&c.Tiles.Policy, o.Tiles)
	override(&c.HTTP.Listen, o.Listen)
	override(&c.Sinks.NDJSON, o.NDJSON)
	c.AddSources(sources)
	if name := c.DefaultDetector(); name != "" {
		d := c.Detectors[name]
		override(&d.Model, o.Model)
		c.Detectors[name] = d
	}
	for name, cam := range c.Cameras {
		override(&cam.Tiles.Policy, o.Tiles)
		override(&cam.Pace, o.Pace)
		cam.Loop = cam.Loop || o.Loop
		c.Cameras[name] = cam
	}
}

func override(value *string, by string) {
	if by != "" {
		*value = by
	}
}
