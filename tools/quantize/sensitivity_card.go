package quantize

import "strconv"

// Sensitivity is what a card keeps of Report.Units: model eval shows it.
type Sensitivity struct {
	Parts []Part `json:"parts" yaml:"parts,flow"` // the worst first
}

// Part is one part of a network: the error of the outputs when it alone is int8, and whether it stayed float for that.
type Part struct {
	Tensor string  `json:"tensor" yaml:"tensor"`
	Error  float64 `json:"error" yaml:"error"`
	Float  bool    `json:"float,omitempty" yaml:"float,omitempty"`
}

// Sensitivity takes the ranking of the parts out of the report, to three digits.
func (r Report) Sensitivity() Sensitivity {
	float := map[string]bool{}
	for _, name := range r.Islands {
		float[name] = true
	}
	var s Sensitivity
	for _, u := range r.Units {
		short, err := strconv.ParseFloat(strconv.FormatFloat(u.Error, 'g', 3, 64), 64)
		if err != nil {
			short = u.Error
		}
		s.Parts = append(s.Parts, Part{u.Tensor, short, float[u.Tensor]})
	}
	return s
}
