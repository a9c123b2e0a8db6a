package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"bintubridge/bridge/decide"
)

func newRulesEdit(env environment) *cobra.Command {
	flags := bucketFlags{environment: env}
	p := push{}
	cmd := &cobra.Command{
		Use: "edit KEY", Short: "Edit a document in $VISUAL or $EDITOR", Args: exactly(1),
		Long: `Opens the document of a key in $VISUAL, $EDITOR or vi, and pushes it when it
compiles. When it does not, it says why and asks whether to edit again. Text that
was not pushed is kept in a file, which is named.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkKey(args[0]); err != nil {
				return usageError{err}
			}
			b, err := flags.open(cmd.Context())
			if err != nil {
				return err
			}
			defer b.close()
			old, err := b.get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			p.bucket, p.out = b, cmd.OutOrStdout()
			e := editing{cmd: cmd, key: args[0], editor: cmp.Or(env.getenv("VISUAL"), env.getenv("EDITOR"), "vi")}
			return e.run(cmd.Context(), old, &p)
		},
	}
	flags.add(cmd)
	p.wait.add(cmd)
	return cmd
}

// editing is one text on its way through the editor.
type editing struct {
	cmd    *cobra.Command
	key    string
	editor string
	path   string
}

const newDocument = "{\"rules\":[\n  {\"id\":\"\",\"effect\":\"allow\",\"calls\":[\"publish\"],\"name\":[\"\"]}\n]}\n"

func (e *editing) run(ctx context.Context, old *entry, p *push) error {
	before := []byte(newDocument)
	if !old.gone() {
		before = old.data
	}
	dir, err := os.MkdirTemp("", "bridgectl-")
	if err != nil {
		return fmt.Errorf("edit: %w", err)
	}
	e.path = filepath.Join(dir, fileName(e.key))
	if err := os.WriteFile(e.path, before, 0o600); err != nil {
		return fmt.Errorf("edit: %w", err)
	}
	data, err := e.edit(ctx)
	if err == nil && bytes.Equal(data, before) {
		err = errDeclined
	}
	if errors.Is(err, errDeclined) {
		return errors.Join(err, os.RemoveAll(dir))
	}
	if err == nil {
		err = p.put(ctx, e.key, data, old)
		if err == nil || p.bucket.has(ctx, e.key, data) { // pushed, and a bridge is late
			return errors.Join(err, os.RemoveAll(dir))
		}
	}
	return fmt.Errorf("%w\nyour text is kept in %s; push it with bridgectl rules put %s %s\nthe folder %s can be deleted when it is no longer wanted", err, e.path, e.key, e.path, dir)
}

// edit returns the text when it compiles, or the operator has given up.
func (e *editing) edit(ctx context.Context) ([]byte, error) {
	for {
		words := strings.Fields(e.editor)
		editor := exec.CommandContext(ctx, words[0], append(words[1:], e.path)...) //nolint:gosec // the operator's own editor
		editor.Stdin, editor.Stdout, editor.Stderr = e.cmd.InOrStdin(), e.cmd.OutOrStdout(), e.cmd.ErrOrStderr()
		if out, ok := editor.Stdout.(*failing); ok { // an editor wants the terminal itself
			editor.Stdout = out.Writer
		}
		if err := editor.Run(); err != nil {
			return nil, fmt.Errorf("editor %s: %w", shown(e.editor), err)
		}
		data, err := os.ReadFile(e.path)
		if err != nil {
			return nil, fmt.Errorf("edit: %w", err)
		}
		_, err = decide.Compile(e.key, data)
		if err == nil {
			return data, nil
		}
		fmt.Fprintln(e.cmd.ErrOrStderr(), strings.Join(lines(err), "\n"))
		if confirm(e.cmd, "edit again?") != nil {
			return nil, errors.New("the document does not compile")
		}
	}
}

// has says whether data is the key's document.
func (b *bucket) has(ctx context.Context, key string, data []byte) bool {
	e, err := b.get(ctx, key)
	return err == nil && !e.gone() && bytes.Equal(e.data, data)
}
