package evaluate

// Plot is one more picture for the page: what a caller has found out about a model, layer by layer or setting by setting.
type Plot struct {
	Title string  `json:"title"`
	Note  string  `json:"note,omitempty"` // what it says, one sentence
	Unit  string  `json:"unit,omitempty"` // of the values
	Bars  []Bar   `json:"bars,omitempty"` // one a row, in this order
	Over  string  `json:"over,omitempty"` // what the lines run over
	Lines []Curve `json:"lines,omitempty"`
}

// Bar is one row of a plot: from Low to High, with a mark at Value where that is neither. A plain bar has Low 0 and High equal to
// Value.
type Bar struct {
	Label string  `json:"label"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Value float64 `json:"value"`
}

// Plain makes a bar from zero.
func Plain(label string, value float64) Bar { return Bar{label, min(0, value), max(0, value), value} }

// Curve is a line through points.
type Curve struct {
	Name   string       `json:"name"`
	Points [][2]float64 `json:"points"` // by rising first number
}
