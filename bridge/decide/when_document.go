package decide

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // an image without files has no zones of its own

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
)

const (
	// maxProgram bounds a regular expression, in instructions of its program:
	// matching costs as many steps for each byte.
	maxProgram = 1000
	// maxWhenMistakes bounds how many mistakes of one expression are told.
	maxWhenMistakes = 5
	// maxComplaint bounds what is shown of CEL's own words, in bytes.
	maxComplaint = 200
)

// wantWhen tells what an expression may be made of.
func wantWhen() string {
	return "a CEL expression of type bool over " + strings.Join(requestFields[fieldCall:], ", ") + " (texts), custom (a map of texts) and now (a timestamp)"
}

// when reads a rule's expression. What it returns is only meaningful when no
// mistake was added.
func (c *compiler) when(v value) *when {
	text, ok := c.string(v)
	c.whens += len(text)
	switch {
	case !ok || text == "":
		c.refuse(v, wantWhen())
		return nil
	case len(text) > maxWhen:
		c.refuseAs(v, fmt.Sprintf("an expression of %d bytes", len(text)), fmt.Sprintf("at most %d bytes", maxWhen))
		return nil
	case c.whens > maxWhens:
		c.refuseAs(v, "too many expressions", fmt.Sprintf("at most %d bytes of them in one document; split it into several keys", maxWhens))
		return nil
	}
	env, err := celEnv()
	if err != nil {
		c.refuseAs(v, quote(err.Error()), "an environment of CEL, which is a fault of this program")
		return nil
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		for _, e := range issues.Errors()[:min(len(issues.Errors()), maxWhenMistakes)] {
			c.refuseAs(v, quoteCut(e.Message, maxComplaint)+position(e.Location), wantWhen())
		}
		return nil
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		c.refuseAs(v, "an expression of type "+quote(checked.OutputType().String()), wantWhen())
		return nil
	}
	return c.plan(v, env, checked)
}

func position(at common.Location) string {
	return fmt.Sprintf(" at line %d, column %d", max(at.Line(), 1), max(at.Column(), 0)+1)
}

// plan makes a checked expression ready to run, unless it may cost too much.
func (c *compiler) plan(v value, env *cel.Env, checked *cel.Ast) *when {
	const cheaper = "a cheaper expression: compare single fields, nest no exists, all, map or filter, and do in name, addr or custom what those conditions can"
	estimate, err := env.EstimateCost(checked, sizes{})
	if err != nil || estimate.Max > maxCost {
		c.refuseAs(v, fmt.Sprintf("an expression that may cost %d, over the limit of %d", estimate.Max, maxCost), cheaper)
		return nil
	}
	matching := patterns{}
	program, err := env.Program(checked, cel.CustomDecoratorV2(fold), cel.EvalOptions(cel.OptOptimize), matching.compiled(),
		cel.CostTracking(matching), cel.CostLimit(maxCost))
	if fails := (*alwaysFails)(nil); errors.As(err, &fails) {
		at := checked.NativeRep().SourceInfo().GetStartLocation(fails.id)
		c.refuseAs(v, quoteCut(fails.Error(), maxComplaint)+position(at), wantWhen())
		return nil
	}
	if err != nil {
		c.refuseAs(v, quoteCut(err.Error(), maxComplaint), wantWhen())
		return nil
	}
	// What has a value where every variable fails has it for every request: CEL's && and
	// || come to one by the side that is known.
	value, _, err := program.Eval(noRequest{})
	return &when{program: program, never: err == nil && value == types.False}
}

// literalsOnly refuses patterns, networks and time zones that the request could
// choose, or that are wrong or too large. A zone that a client chose would be looked
// for on the disk.
type literalsOnly struct{}

// Name names the validator.
func (literalsOnly) Name() string { return "bridge.literals" }

// Validate looks at every call that has such a text.
func (literalsOnly) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		check, args := literalCheck(e.AsCall().FunctionName()), e.AsCall().Args()
		if check == nil || len(args) == 0 { // without a zone it is UTC
			return
		}
		last := args[len(args)-1]
		if last.Kind() != ast.LiteralKind {
			issues.ReportErrorAtID(last.ID(), "%s wants a text that stands in the rule", e.AsCall().FunctionName())
			return
		}
		text, _ := last.AsLiteral().(types.String)
		if problem := check(string(text)); problem != "" {
			issues.ReportErrorAtID(last.ID(), "%s", problem)
		}
	}))
}

// literalCheck returns what looks at the last argument of a function, nil when any
// will do.
func literalCheck(function string) func(string) string {
	switch function {
	case "matches":
		return checkPattern
	case "inCIDR":
		return checkNetwork
	}
	if takesZone(function) {
		return checkZone
	}
	return nil
}

// takesZone reports whether a function of CEL reads a clock, as it is somewhere.
func takesZone(function string) bool {
	switch function {
	case overloads.TimeGetFullYear, overloads.TimeGetMonth, overloads.TimeGetDayOfYear, overloads.TimeGetDate,
		overloads.TimeGetDayOfMonth, overloads.TimeGetDayOfWeek, overloads.TimeGetHours, overloads.TimeGetMinutes,
		overloads.TimeGetSeconds, overloads.TimeGetMilliseconds:
		return true
	}
	return false
}

func checkZone(zone string) string {
	var err error
	if strings.Contains(zone, ":") {
		_, err = time.Parse("15:04", strings.TrimLeft(zone, "+-"))
	} else {
		_, err = time.LoadLocation(zone)
	}
	if err != nil {
		return "no time zone: want one as Europe/Berlin, UTC or +02:00"
	}
	return ""
}

func checkPattern(pattern string) string {
	size, err := programSize(pattern)
	switch {
	case err != nil:
		return "no regular expression: " + err.Error()
	case size > maxProgram:
		return "a regular expression that is too large: repeat less"
	}
	return ""
}

func checkNetwork(network string) string {
	if _, want := parseNetwork(network); want != "" {
		return "no network: want " + want
	}
	return ""
}
