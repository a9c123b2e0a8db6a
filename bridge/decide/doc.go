// Package decide answers whether a stream may be published or played. It turns
// rule documents into an immutable Table, and a request into a Decision.
//
// It is pure: no I/O, no clock, no state. Compile reads one document and
// reports all its mistakes together. NewTable joins documents into a table that
// any number of goroutines may ask at once, and Edit makes the next table of it
// by what changed alone. Decide looks only at rules that may match: each rule is in
// the one index of its most telling condition (see home.go); most of a million are
// bytes there, and no objects (see bare.go). It does not allocate,
// but for a CEL expression and the first sight of a JWT, which only run for a request
// that all other conditions of their rule hold for. Explain shows all rules looked at.
//
// The answer never depends on the order of rules or documents. The matching
// rule of the highest priority decides; at equal priority deny beats allow; and
// what is still equal is settled by the smallest rule name, so that the name in
// the Decision is always the same too. What is not known is a denial: the zero
// Decision, the zero Effect and the zero Table all deny.
package decide
