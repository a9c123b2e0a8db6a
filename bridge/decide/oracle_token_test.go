package decide

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bintubridge/subjects"

	"pgregory.net/rapid"
)

// oracleSecrets are the keys of drawn requests. Some rules want one more.
var oracleSecrets = map[string]string{"k1": "the first secret of two", "k2": "the other secret of two"}

var oracleKeys = NewKeys(map[string]*Key{"k1": mustSecret(oracleSecrets["k1"]), "k2": mustSecret(oracleSecrets["k2"])})

func mustSecret(text string) *Key {
	k, err := NewSecret([]byte(text))
	if err != nil {
		panic(err)
	}
	return k
}

// drawToken draws few conditions, so that no request is asked for too many.
func drawToken(t *rapid.T) any {
	return map[string]any{
		"type": "hmac", "field": rapid.SampledFrom([]string{"k", "team"}).Draw(t, "token field"),
		"keys": rapid.SampledFrom([][]string{{"k1"}, {"gone", "k2"}}).Draw(t, "keys"),
		"bind": rapid.SampledFrom([][]string{{"name"}, {"call", "app"}}).Draw(t, "bind"),
	}
}

// drawTokenValue draws a token for the request, which is good for some conditions.
func drawTokenValue(t *rapid.T, in *Input) string {
	message := []string{in.Name}
	if rapid.Bool().Draw(t, "other bind") {
		message = []string{in.Call.String(), in.App}
	}
	expires := fmt.Sprint(noon.Add(time.Duration(rapid.IntRange(-1, 2).Draw(t, "expires")) * time.Second).Unix())
	mac := hmac.New(sha256.New, []byte(oracleSecrets[rapid.SampledFrom([]string{"k1", "k2"}).Draw(t, "signer")]))
	mac.Write([]byte(strings.Join(append(message, expires), "\n")))
	return expires + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// oracleToken checks an hmac token as the README has it.
func oracleToken(token any, in *Input, now time.Time) bool {
	want, ok := token.(map[string]any)
	if !ok {
		return true
	}
	value := oracleValues(in)[want["field"].(string)]
	expiry, mac, _ := strings.Cut(value, ".")
	var expires int64
	if _, err := fmt.Sscan(expiry, &expires); err != nil || now.Unix() >= expires {
		return false
	}
	values := map[string]string{"name": in.Name, "call": in.Call.String(), "app": in.App}
	var message []string
	for _, field := range want["bind"].([]any) {
		message = append(message, values[field.(string)])
	}
	if strings.Contains(strings.Join(message, ""), "\n") {
		return false
	}
	return slices.ContainsFunc(want["keys"].([]any), func(name any) bool {
		sum := hmac.New(sha256.New, []byte(oracleSecrets[name.(string)]))
		sum.Write([]byte(strings.Join(append(message, expiry), "\n")))
		return oracleSecrets[name.(string)] != "" && mac == base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:16])
	})
}

// oracleValues are the custom fields as a map: of equal keys the first counts.
func oracleValues(in *Input) map[string]string {
	values := map[string]string{}
	if in.Custom != nil {
		for _, f := range slices.Backward(in.Custom.List()) {
			values[f.Key] = f.Value
		}
	}
	return values
}

// truth is what an expression comes to.
type truth uint8

const (
	yes truth = iota
	no
	fails // a deny rule matches then, an allow rule does not
)

func truthOf(holds bool) truth {
	if holds {
		return yes
	}
	return no
}

// oracleWhens are expressions, and the same in Go.
var oracleWhens = map[string]func(in *Input, values map[string]string, now time.Time) truth{
	`true`:  func(*Input, map[string]string, time.Time) truth { return yes },
	`false`: func(*Input, map[string]string, time.Time) truth { return no },
	`name == 'cam-1' || app == 'vod'`: func(in *Input, _ map[string]string, _ time.Time) truth {
		return truthOf(in.Name == "cam-1" || in.App == "vod")
	},
	`call != 'play' && addr.startsWith('10.')`: func(in *Input, _ map[string]string, _ time.Time) truth {
		return truthOf(in.Call != subjects.Play && strings.HasPrefix(in.Addr, "10."))
	},
	`inCIDR(addr, '10.0.0.0/16')`: func(in *Input, _ map[string]string, _ time.Time) truth {
		addr, err := netip.ParseAddr(in.Addr)
		return truthOf(err == nil && netip.MustParsePrefix("10.0.0.0/16").Contains(addr.Unmap()))
	},
	`custom.k == 'x'`: func(_ *Input, values map[string]string, _ time.Time) truth {
		if value, ok := values["k"]; ok {
			return truthOf(value == "x")
		}
		return fails
	},
	`size(custom) > 1 || has(custom.team)`: func(_ *Input, values map[string]string, _ time.Time) truth {
		_, team := values["team"]
		return truthOf(len(values) > 1 || team)
	},
	`now >= timestamp('2026-11-23T12:00:00Z')`: func(_ *Input, _ map[string]string, now time.Time) truth {
		return truthOf(!now.Before(noon))
	},
}

var drawWhen = rapid.SampledFrom(slices.Sorted(maps.Keys(oracleWhens)))

func oracleWhen(rule map[string]any, in *Input, now time.Time) bool {
	expression, ok := rule["when"].(string)
	if !ok {
		return true
	}
	switch oracleWhens[expression](in, oracleValues(in), now) {
	case yes:
		return true
	case no:
		return false
	}
	return rule["effect"] == "deny"
}
