package subjects_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"bintubridge/subjects"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestValidTraceParent(t *testing.T) {
	const ids = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
	for _, tt := range []struct {
		name, value string
		want        bool
	}{
		{"sampled", "00-" + ids + "-01", true},
		{"not sampled", "00-" + ids + "-00", true},
		{"all flags", "00-" + ids + "-ff", true},
		{"a later version", "cc-" + ids + "-01", true},
		{"a later version with more", "cc-" + ids + "-01-what=the.future,brings", true},
		{"a later version with nothing more", "cc-" + ids + "-01-", true},
		{"a later version, 255 bytes", "cc-" + ids + "-01-" + strings.Repeat("x", 199), true},
		{"empty", "", false},
		{"version 00 with more", "00-" + ids + "-01-more", false},
		{"version 00 with a dash more", "00-" + ids + "-01-", false},
		{"version ff", "ff-" + ids + "-01", false},
		{"upper-case version", "CC-" + ids + "-01", false},
		{"upper-case trace", "00-" + strings.ToUpper(ids) + "-01", false},
		{"no digit", "00-" + ids + "-0g", false},
		{"no trace", "00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
		{"no parent", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
		{"no trace in a later version", "cc-00000000000000000000000000000000-b7ad6b7169203331-01", false},
		{"short", "00-" + ids + "-0", false},
		{"other dashes", "00_" + ids + "-01", false},
		{"blank before", " 00-" + ids + "-01", false},
		{"a later version, glued", "cc-" + ids + "-01more", false},
		{"a later version with a blank", "cc-" + ids + "-01-a b", false},
		{"a later version with a line", "cc-" + ids + "-01-a\r\nce-id: 1", false},
		{"a later version, 256 bytes", "cc-" + ids + "-01-" + strings.Repeat("x", 200), false},
	} {
		if got := subjects.ValidTraceParent([]byte(tt.value)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestAppendTraceState(t *testing.T) {
	full := make([]string, 32)
	for i := range full {
		full[i] = fmt.Sprintf("k%d=v", i)
	}
	long := strings.Repeat("a", 256)
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"none", nil, ""},
		{"one", []string{"rojo=00f067aa0ba902b7"}, "rojo=00f067aa0ba902b7"},
		{"two lines", []string{"rojo=1,congo=2", "fw529a3039@dt=3"}, "rojo=1,congo=2,fw529a3039@dt=3"},
		{"blanks and empty members", []string{" ,\t a=1\t , ,b=  2 2 ", "", ","}, "a=1,b=  2 2"},
		{"every byte of a key", []string{"0az_-*/@9=x"}, "0az_-*/@9=x"},
		{"printable value", []string{"a= !\"#$%&'()*+-./:;<>?@[\\]^_`{|}~"}, "a= !\"#$%&'()*+-./:;<>?@[\\]^_`{|}~"},
		{"32 members", []string{strings.Join(full, ",")}, strings.Join(full, ",")},
		{"33 members", []string{strings.Join(full, ","), "k32=v"}, ""},
		{"key of 256", []string{long + "=1"}, long + "=1"},
		{"key of 257", []string{long + "a=1"}, ""},
		{"value of 256", []string{"a=" + long}, "a=" + long},
		{"value of 257", []string{"a=a" + long}, ""},
		{"512 bytes", []string{"a=" + long, "b=" + long[:251]}, "a=" + long + ",b=" + long[:251]},
		{"513 bytes", []string{"a=" + long, "b=" + long[:252]}, ""},
		{"a key twice", []string{"a=1,b=2", "a=3"}, ""},
		{"no key", []string{"=1"}, ""},
		{"no value", []string{"a="}, ""},
		{"no equals sign", []string{"a=1,b"}, ""},
		{"two equals signs", []string{"a=1=2"}, ""},
		{"upper-case key", []string{"A=1"}, ""},
		{"a key that begins with a sign", []string{"@a=1"}, ""},
		{"blank in a key", []string{"a b=1"}, ""},
		{"tab in a value", []string{"a=1\t2"}, ""},
		{"line break", []string{"a=1\r\nce-id: 2"}, ""},
		{"no ASCII", []string{"a=ü"}, ""},
	} {
		lines := make([][]byte, len(tt.lines))
		for i, line := range tt.lines {
			lines[i] = []byte(line)
		}
		if got := string(subjects.AppendTraceState([]byte("x"), lines...)); got != "x"+tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// The grammar of the standard, as regular expressions.
var (
	traceParentForm = regexp.MustCompile(`^(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,199})?)$`)
	traceNothing    = regexp.MustCompile(`^(ff|00-.{53}|..-0{32}|.{36}0{16})`)
	traceMemberForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_\-*/@]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]$`)
)

func FuzzTraceParent(f *testing.F) {
	for _, s := range []string{"", traceParent, "cc" + traceParent[2:] + "-more", "00-" + strings.Repeat("0", 32), "ff" + traceParent[2:]} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := subjects.ValidTraceParent([]byte(s)), traceParentForm.MatchString(s) && !traceNothing.MatchString(s); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	})
}

func FuzzTraceState(f *testing.F) {
	for _, s := range []string{"", "a=1", "a=1, b=2", "a=1,,a=2", "a@b=\t", "A=1", "a==", " a= 1 \n"} {
		f.Add(s, "c=3")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		var want []string
		seen := map[string]bool{}
		for member := range strings.SplitSeq(one+","+two, ",") {
			if member = strings.Trim(member, " \t"); member == "" {
				continue
			}
			key, _, _ := strings.Cut(member, "=")
			if !traceMemberForm.MatchString(member) || seen[key] {
				want = nil
				break
			}
			seen[key] = true
			want = append(want, member)
		}
		list := strings.Join(want, ",")
		if len(want) > 32 || len(list) > 512 {
			list = ""
		}
		if got := string(subjects.AppendTraceState(nil, []byte(one), []byte(two))); got != list {
			t.Errorf("%q, %q: got %q, want %q", one, two, got, list)
		}
	})
}

func TestTraceDoesNotAllocate(t *testing.T) {
	parent, lines, dst := []byte(traceParent), [][]byte{[]byte("a=1, b=2"), []byte("c=3")}, make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() {
		if !subjects.ValidTraceParent(parent) || len(subjects.AppendTraceState(dst, lines...)) == 0 {
			t.Error("not valid")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
