package natsenv_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects/natsenv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	bridgetest.ServeIfAsked()
	goleak.VerifyTestMain(m)
}

func TestCheckURL(t *testing.T) {
	for list, want := range map[string]string{
		"": "", "127.0.0.1": "", "nats://a:4222, tls://u:p@b.example,wss://c": "",
		"nats://": "server 1 is no URL", "a,ftp://b": `server 2 has the scheme "ftp"`, "nats://a:0": `port "0"`,
		"nats://a:99999": `port "99999"`, "nats://u:s3cret@%zz": "server 1 is no URL",
	} {
		err := natsenv.CheckURL(list)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%s: %v", list, err)
		}
	}
}

// What is missing is told before anything is connected, all of it.
func TestMistakes(t *testing.T) {
	if problems := (natsenv.Auth{User: "u", Key: "k"}).Check(); len(problems) != 2 {
		t.Errorf("%v", problems)
	}
	_, err := natsenv.Auth{Creds: "/no/creds", NKey: "/no/nkey", CA: "/no/ca", Cert: "/no/cert", Key: "/no/key"}.Options()
	for _, name := range []string{"NATS_CREDS: ", "NATS_NKEY: ", "NATS_CA: ", "NATS_CERT: ", "NATS_KEY: "} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not told: %v", name, err)
		}
	}
}

// A server takes who the variables say, and nobody else.
func TestAuth(t *testing.T) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(file, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, server string
		auth, wrong  natsenv.Auth
	}{
		{"user", "authorization { user: u, password: p }", natsenv.Auth{User: "u", Password: "p"}, natsenv.Auth{User: "u", Password: "q"}},
		{"token", "authorization { token: t }", natsenv.Auth{Token: "t"}, natsenv.Auth{}},
		{"nkey", "authorization { users = [ { nkey: " + public + " } ] }", natsenv.Auth{NKey: file}, natsenv.Auth{Token: "t"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := bridgetest.StartProcess(t, tt.server)
			connect := func(a natsenv.Auth) error {
				opts, err := a.Options()
				if err != nil {
					t.Fatal(err)
				}
				nc, err := nats.Connect(server.URL(), append(opts, nats.Timeout(bridgetest.Timeout))...)
				if err == nil {
					nc.Close()
				}
				return err
			}
			if err := connect(tt.auth); err != nil {
				t.Error(err)
			}
			if err := connect(tt.wrong); err == nil {
				t.Error("the wrong one is taken")
			}
		})
	}
}

// With nobody there it connects once there is somebody; what is published meanwhile fails.
func TestLasting(t *testing.T) {
	server := bridgetest.StartNATS(t)
	url := server.URL()
	server.Stop()
	nc, err := nats.Connect(url, natsenv.Lasting()...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.Publish("a", nil); err == nil {
		t.Error("it is kept in memory")
	}
	server.Start()
	bridgetest.Eventually(t, "it is connected", nc.IsConnected)
}
