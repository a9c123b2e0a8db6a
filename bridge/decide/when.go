package decide

import (
	"errors"
	"fmt"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	celref "cel.dev/cel-go/common/types/ref"

	"bintubridge/subjects"
)

const (
	maxWhen    = 4 << 10  // bytes of one expression
	maxWhens   = 64 << 10 // bytes of all expressions of a document: compiling them takes time
	maxNesting = 50

	// maxCost bounds one expression in CEL's own units, as it is estimated when it
	// is compiled and as it is counted when it runs: a few milliseconds at most.
	maxCost = 100_000
	// maxRequestCost bounds all expressions that run for one request.
	maxRequestCost = 10 * maxCost

	// What the estimate takes for the largest request. The run time counts what
	// there is.
	longestText = 2048 // bytes: senders cut a name and its fields at 2047
	mostCustom  = 256
)

// when is a compiled CEL expression. It is immutable and safe for concurrent use.
type when struct {
	program cel.Program
	never   bool // it is false for every request
}

// celEnv is what expressions are compiled in. It never changes; it is made when
// the first expression comes, because that takes a millisecond.
var celEnv = sync.OnceValues(func() (*cel.Env, error) {
	opts := make([]cel.EnvOption, 0, 6+len(requestFields))
	opts = append(opts,
		cel.ParserExpressionSizeLimit(maxWhen),
		cel.ParserRecursionLimit(maxNesting),
		cel.ASTValidators(literalsOnly{}),
		cel.Variable("custom", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("now", cel.TimestampType),
		cel.Function("inCIDR", cel.Overload("in_cidr", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType, cel.BinaryBinding(inCIDR))),
	)
	for _, name := range requestFields[fieldCall:] {
		opts = append(opts, cel.Variable(name, cel.StringType))
	}
	return cel.NewEnv(opts...)
})

// inCIDR reports whether an address is in a network, as a rule's addr does. What
// is no address is in no network.
func inCIDR(addr, network celref.Val) celref.Val {
	a, n := string(addr.(types.String)), string(network.(types.String))
	prefix, want := parseNetwork(n)
	if want != "" {
		return types.NewErr("inCIDR: %s is no network", quote(n))
	}
	return types.Bool(prefix.Contains(parseAddr(a)))
}

// holds evaluates the expression. A failure, such as a custom field that is not
// there, counts against the client: a deny rule matches, an allow rule does not.
func (w *when) holds(q *query, effect Effect) bool {
	if w.never { // also where the request may cost no more
		return false
	}
	yes, err := w.eval(q)
	if err != nil {
		q.why = err
		return effect != Allow
	}
	return yes
}

var errCost = errors.New("the expressions of this request have cost too much together")

func (w *when) eval(q *query) (bool, error) {
	if q.variables == nil {
		q.variables = &variables{in: *q.in, now: types.Timestamp{Time: q.now}}
	}
	if q.variables.spent > maxRequestCost {
		return false, errCost
	}
	value, details, err := w.program.Eval(q.variables)
	if spent := details.ActualCost(); spent != nil {
		q.variables.spent += *spent
	}
	if err != nil {
		return false, fmt.Errorf("when: %w", err)
	}
	return value == types.True, nil
}

// variables are the values of an expression's variables for one request. They
// implement cel.Activation.
type variables struct {
	in    Input
	now   celref.Val
	spent uint64 // what the expressions that ran have cost

	// As CEL has them, so that a value is made once for all expressions; nil: not
	// asked for yet.
	custom celref.Val
	fields [len(requestFields)]celref.Val
}

// ResolveName returns the value of a variable.
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case "now":
		return v.now, true
	case "custom":
		if v.custom == nil {
			v.custom = types.NewStringStringMap(types.DefaultTypeAdapter, customMap(v.in.Custom))
		}
		return v.custom, true
	}
	f, ok := parseRequestField(name)
	if !ok {
		return nil, false
	}
	if v.fields[f] == nil {
		v.fields[f] = types.String(f.of(&v.in))
	}
	return v.fields[f], true
}

// Parent returns nil: there are no other variables.
func (v *variables) Parent() cel.Activation { return nil }

func customMap(fields *subjects.Fields) map[string]string {
	if fields == nil {
		return map[string]string{}
	}
	m := make(map[string]string, fields.Len())
	for _, f := range fields.List() {
		m[f.Key] = f.Value
	}
	return m
}

// sizes tell the cost estimate how large a request may be.
type sizes struct{}

// EstimateSize returns the size of a variable or a part of one.
func (sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	path := node.Path()
	if len(path) == 0 {
		return nil
	}
	size := cost.RangedSizeEstimate(0, longestText)
	if len(path) == 1 && path[0] == "custom" {
		size = cost.MapSizeEstimate(cost.RangedSizeEstimate(0, mostCustom), size, size)
	}
	return &size
}

// EstimateCallCost leaves functions to CEL's own estimates.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
