package decide

import (
	"regexp"
	"regexp/syntax"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	celref "cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// stepsAUnit is how many steps of a regular expression count as one of CEL's units. A
// step takes some 10 ns, but most patterns take few of those they might.
const stepsAUnit = 4

// patterns are the sizes of an expression's regular expressions, in instructions of their
// programs: for each byte of a text they may take as many steps. CEL goes by the length of
// the pattern, and "(a?){300}" is short.
type patterns map[string]uint64

// cost returns what matching a text of some bytes may cost.
func (p patterns) cost(pattern string, text int) uint64 {
	return 1 + uint64(text)*p[pattern]/stepsAUnit
}

// CallCost tells CEL the cost of a call, nil where it knows.
func (p patterns) CallCost(function, _ string, args []celref.Val, result celref.Val) *uint64 {
	if function != overloads.Matches || len(args) != 2 || types.IsError(result) {
		return nil
	}
	text, _ := args[0].(types.String)
	pattern, _ := args[1].(types.String)
	cost := p.cost(string(pattern), len(text))
	return &cost
}

// compiled has CEL compile the patterns of both ways to call matches, once.
func (p patterns) compiled() cel.ProgramOption {
	return cel.OptimizeRegex(
		&interpreter.RegexOptimization{Function: overloads.Matches, OverloadID: overloads.Matches, RegexIndex: 1, Factory: p.compile},
		&interpreter.RegexOptimization{Function: overloads.Matches, OverloadID: overloads.MatchesString, RegexIndex: 1, Factory: p.compile},
	)
}

// compile returns a call that refuses a text that would cost too much: CEL counts the cost
// of a call when it is over.
func (p patterns) compile(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	size, err := programSize(pattern)
	if err != nil {
		return nil, err
	}
	p[pattern] = uint64(size)
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(values ...celref.Val) celref.Val {
		text, ok := values[0].(types.String)
		if !ok {
			return types.MaybeNoSuchOverloadErr(values[0])
		}
		if p.cost(pattern, len(text)) > maxCost {
			return types.NewErr("matches: a text of %d bytes is too long for the regular expression %s", len(text), quoteCut(pattern, maxComplaint))
		}
		return types.Bool(compiled.MatchString(string(text)))
	}), nil
}

// programSize returns how many instructions a regular expression has.
func programSize(pattern string) (int, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	return len(program.Inst), nil
}
