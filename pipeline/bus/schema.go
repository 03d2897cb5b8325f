package bus

import "embed"

//go:embed schema/*.json
var schemas embed.FS

// Schema gives the JSON Schema (2020-12) of a kind of message: detections, tracks, event, status, counts or
// scene. It gives nil for any other name.
func Schema(name string) []byte {
	data, err := schemas.ReadFile("schema/" + name + ".json")
	if err != nil {
		return nil
	}
	return data
}
