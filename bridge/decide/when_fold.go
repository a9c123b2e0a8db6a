package decide

import (
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	celref "cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// alwaysFails is a part of an expression that fails whatever the request is.
type alwaysFails struct {
	id  int64 // of the part
	err error
}

func (e *alwaysFails) Error() string { return "always fails: " + e.err.Error() }

func (e *alwaysFails) Unwrap() error { return e.err }

// fold works out what a call of constants comes to, once for all requests. One that
// fails is a mistake: at run time it would refuse every request, or let none in.
func fold(node interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := node.(interpreter.InterpretableCall)
	if !ok {
		return node, nil
	}
	for _, arg := range call.Args() {
		if _, ok := arg.(interpreter.InterpretableConst); !ok {
			return withZone(call)
		}
	}
	value := call.Eval(cel.NoVars())
	if err, ok := value.(*types.Err); ok {
		return nil, &alwaysFails{id: call.ID(), err: err}
	}
	return interpreter.NewConstValue(call.ID(), value), nil
}

// noRequest has every variable fail. It implements cel.Activation.
type noRequest struct{}

var errNoRequest = types.NewErr("there is no request")

// ResolveName returns the failure.
func (noRequest) ResolveName(string) (any, bool) { return errNoRequest, true }

// Parent returns nil: there are no other variables.
func (noRequest) Parent() cel.Activation { return nil }

// withZone looks up a named time zone when the expression is compiled: CEL would read
// it from the disk each time the expression runs.
func withZone(call interpreter.InterpretableCall) (interpreter.InterpretableV2, error) {
	args := call.Args()
	if !takesZone(call.Function()) || len(args) != 2 {
		return call, nil
	}
	name, ok := args[1].(interpreter.InterpretableConst)
	if !ok {
		return call, nil
	}
	zone, _ := name.Value().(types.String)
	if strings.Contains(string(zone), ":") { // an offset, which CEL reads by itself
		return call, nil
	}
	location, err := time.LoadLocation(string(zone))
	if err != nil {
		return nil, fmt.Errorf("time zone %s: %w", quote(string(zone)), err)
	}
	function, overload := call.Function(), call.OverloadID()
	return interpreter.NewCall(call.ID(), function, overload, args, func(values ...celref.Val) celref.Val {
		at, ok := values[0].(types.Timestamp)
		if !ok {
			return types.MaybeNoSuchOverloadErr(values[0])
		}
		// The clock on the wall there, as if it were UTC, which needs no zone.
		_, ahead := at.Time.In(location).Zone()
		there := types.Timestamp{Time: at.Time.Add(time.Duration(ahead) * time.Second)}
		return there.Receive(function, overload, nil)
	}), nil
}
