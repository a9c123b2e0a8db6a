package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"bintubridge/bridge/receive"
)

func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnswerer(testConfig(t), fixedKeys{}, testTable(t, `{"rules":[{"id":"r","effect":"allow","name":["x"]}]}`), &memory{}, slog.New(slog.DiscardHandler))
		h := startHistory(a)
		defer h.close()
		bodies := []string{"call=play&name=x", "call=play&name=x", "call=publish&name=y", "call=play_done&name=x", "call=foo", "?"}
		for range 10 {
			for _, body := range bodies {
				a.Handle([]byte(body), receive.Trace{})
			}
		}
		time.Sleep(historyTick)
		synctest.Wait()
		got := h.recent()
		if fmt.Sprint(got["allowed"], got["refused"], got["told"], got["others"], got["lost"]) != "20 10 10 20 0" {
			t.Errorf("rates %+v", got)
		}
		began := time.Now()
		time.Sleep(2 * historyRound * historyTick)
		synctest.Wait()
		if got = h.recent(); got["allowed"] != 0 || got["answer_p99"] != 0 {
			t.Errorf("after a quiet second: %+v", got)
		}
		if rules, _ := a.byRule.top(); fmt.Sprint(rules) != "[{doc0/r 20 0 0} {default 0 10 0}]" {
			t.Errorf("by rule: %v", rules)
		}
		if n := len(h.after(began)); n != 2*historyRound {
			t.Errorf("%d samples after the first", n)
		}
		time.Sleep(historyKept * historyTick)
		synctest.Wait()
		if n := len(h.after(time.Time{})); n != historyKept {
			t.Errorf("%d samples are kept", n)
		}
		if h.after(time.Now()) != nil {
			t.Error("samples of the future")
		}
	})
}

// What the page gets are columns of one length, and from then on only what is new.
func TestHistoryQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(1_357_999_999) // no clock but this test's stands on whole milliseconds
		h := startHistory(newAnswerer(testConfig(t), fixedKeys{}, testTable(t), &memory{}, slog.New(slog.DiscardHandler)))
		defer h.close()
		ask := func(after string) map[string][]float64 {
			time.Sleep(3 * historyTick)
			synctest.Wait()
			answer, err := h.query(context.Background(), url.Values{"after": {after}})
			if err != nil {
				t.Fatal(err)
			}
			data, err := json.Marshal(answer)
			if err != nil {
				t.Fatal(err)
			}
			columns := map[string][]float64{}
			if err := json.Unmarshal(data, &columns); err != nil {
				t.Fatal(err)
			}
			for name, values := range columns {
				if len(values) != len(columns["t"]) {
					t.Errorf("%s has %d values of %d", name, len(values), len(columns["t"]))
				}
			}
			return columns
		}
		first := ask("")["t"]
		if len(first) != 3 {
			t.Fatalf("%v", first)
		}
		if next := ask(fmt.Sprint(first[2]))["t"]; len(next) != 3 || next[0] != first[2]+1 {
			t.Errorf("%v after %v", next, first)
		}
		if _, err := h.query(context.Background(), url.Values{"after": {"yesterday"}}); err == nil {
			t.Error("no error for a time that is none")
		}
	})
}
