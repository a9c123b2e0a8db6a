package chat

import (
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// allowed are the functions of a template: those that make no text.
var allowed = []string{"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len"}

// checkTemplate refuses what could take memory or time out of all proportion to the template: functions
// that make text, loops, and templates in templates. What is left runs once from top to bottom.
func checkTemplate(t *template.Template) error {
	for _, associated := range t.Templates() {
		if associated != t {
			return fmt.Errorf("define and block are not allowed in a template: %.40q", associated.Name())
		}
	}
	return checkList(t.Root)
}

func checkList(list *parse.ListNode) error {
	if list == nil { // no else
		return nil
	}
	for _, node := range list.Nodes {
		if err := checkNode(node); err != nil {
			return err
		}
	}
	return nil
}

func checkNode(node parse.Node) error {
	switch n := node.(type) {
	case *parse.TextNode:
		return nil
	case *parse.ActionNode:
		return checkPipe(n.Pipe)
	case *parse.IfNode:
		return checkBranch(&n.BranchNode)
	case *parse.WithNode:
		return checkBranch(&n.BranchNode)
	}
	return fmt.Errorf("%.40q is not allowed in a template", node.String())
}

func checkBranch(n *parse.BranchNode) error {
	if err := checkPipe(n.Pipe); err != nil {
		return err
	}
	if err := checkList(n.List); err != nil {
		return err
	}
	return checkList(n.ElseList)
}

func checkPipe(pipe *parse.PipeNode) error {
	for _, command := range pipe.Cmds {
		for _, arg := range command.Args {
			if err := checkArg(arg); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkArg(arg parse.Node) error {
	switch n := arg.(type) {
	case *parse.IdentifierNode:
		if !slices.Contains(allowed, n.Ident) {
			return fmt.Errorf("%s is not allowed in a template", n.Ident)
		}
	case *parse.PipeNode:
		return checkPipe(n)
	case *parse.ChainNode:
		return checkArg(n.Node)
	}
	return nil
}

// message is what a template writes, up to maxMessage: one that repeats a long name ends there.
type message struct{ text strings.Builder }

func (m *message) Write(p []byte) (int, error) {
	if m.text.Len()+len(p) > maxMessage {
		return 0, fmt.Errorf("want %d bytes at most", maxMessage)
	}
	return m.text.Write(p)
}
