package decide

import "strings"

// glob is a name pattern in which * stands for any run of bytes, also an empty
// one. It is kept cut at its stars, so that matching takes one search for each
// piece and never goes back: taking the leftmost place for a piece leaves the
// most room for those that follow. A hostile name cannot make it slow.
type glob struct {
	prefix string   // before the first star
	middle []string // between stars, never empty
	suffix string   // after the last star
}

// parseGlob cuts a pattern that has at least one star.
func parseGlob(pattern string) glob {
	pieces := strings.Split(pattern, "*")
	last := len(pieces) - 1
	g := glob{prefix: pieces[0], suffix: pieces[last]}
	for _, piece := range pieces[1:last] {
		if piece != "" {
			g.middle = append(g.middle, piece)
		}
	}
	return g
}

func (g *glob) match(name string) bool {
	if len(name) < len(g.prefix)+len(g.suffix) ||
		!strings.HasPrefix(name, g.prefix) || !strings.HasSuffix(name, g.suffix) {
		return false
	}
	rest := name[len(g.prefix) : len(name)-len(g.suffix)]
	for _, piece := range g.middle {
		i := strings.Index(rest, piece)
		if i < 0 {
			return false
		}
		rest = rest[i+len(piece):]
	}
	return true
}

// pieces gives the literal texts of the pattern.
func (g *glob) pieces(yield func(string) bool) {
	if !yield(g.prefix) {
		return
	}
	for _, piece := range g.middle {
		if !yield(piece) {
			return
		}
	}
	yield(g.suffix)
}

// longest returns the length of the longest literal text, 0 when the pattern
// has stars alone.
func (g *glob) longest() int {
	n := 0
	for piece := range g.pieces {
		n = max(n, len(piece))
	}
	return n
}

// plain reports whether the prefix is all that the pattern asks for.
func (g *glob) plain() bool { return len(g.middle) == 0 && g.suffix == "" }
