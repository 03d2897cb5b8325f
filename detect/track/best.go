package track

import (
	"math"

	"github.com/sightline/sightline/pipeline/bus"
)

// What makes a good picture of a thing.
const (
	betterBy  = 1.1 // times the merit of the best so far: so a track has at most some dozens of best pictures, however long it lasts
	cutMerit  = 0.5 // of one that the frame's edge or a tile's cuts, or that is all behind another
	atEdgePix = 2   // pixels from the frame's edge within which a box ends there
	sizeRoot  = 4   // a thing of 16 times the area counts twice: size matters less than being sure
)

// shot is the best look at a track so far.
type shot struct {
	bus.Best
	merit float64 // 0: none yet
}

// judge takes in where a track was seen in this frame and tells whether that is its best look so far.
func (t *Tracker) judge(g *target) bool {
	merit := t.merit(g)
	if merit <= betterBy*g.shot.merit {
		return false
	}
	g.shot = shot{bus.Best{Seq: t.seq, CapturedAt: t.now.UTC(), Box: g.object.Box, Score: g.object.Score}, merit}
	return true
}

// merit of a look grows with score and size, and falls where the thing is not seen as a whole.
func (t *Tracker) merit(g *target) float64 {
	b := g.object.Box
	frame := float64(t.frame.Width) * float64(t.frame.Height)
	merit := float64(g.object.Score) * math.Pow(b.Area()/frame, 1.0/sizeRoot) * (1 - (1-cutMerit)*t.hidden(g))
	if t.atFrameEdge(b) || t.looks.cuts(b) {
		merit *= cutMerit
	}
	return merit
}

// hidden is the share of a track that another one is in front of: one that stands lower in the picture is nearer.
func (t *Tracker) hidden(g *target) float64 {
	share := 0.0
	for i := range t.targets {
		o := &t.targets[i]
		if o.seenSeq == t.seq && o.object.Box[3] > g.object.Box[3] {
			share = max(share, o.object.Box.Common(g.object.Box)/g.object.Box.Area())
		}
	}
	return min(share, 1)
}

func (t *Tracker) atFrameEdge(b bus.Box) bool {
	return b[0] <= atEdgePix || b[1] <= atEdgePix || b[2] >= float32(t.frame.Width)-atEdgePix || b[3] >= float32(t.frame.Height)-atEdgePix
}
