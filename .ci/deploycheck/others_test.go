package deploycheck

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// values is as much of the values of NATS' chart as ours set. The chart itself is not rendered here.
type values struct {
	Config struct {
		Cluster struct {
			Enabled  bool `json:"enabled"`
			Replicas int  `json:"replicas"`
		} `json:"cluster"`
		JetStream struct {
			Enabled   bool `json:"enabled"`
			FileStore struct {
				PVC struct {
					Size string `json:"size"`
				} `json:"pvc"`
			} `json:"fileStore"`
		} `json:"jetstream"`
		Merge map[string]string `json:"merge"`
	} `json:"config"`
	Container struct {
		Image map[string]string `json:"image"`
		Env   map[string]any    `json:"env"`
		Merge map[string]any    `json:"merge"`
	} `json:"container"`
	PodTemplate struct {
		Spread map[string]any `json:"topologySpreadConstraints"`
	} `json:"podTemplate"`
}

// What users.conf takes from the environment comes from a secret that is there.
func TestNATSValues(t *testing.T) {
	var v values
	text, err := yaml.YAMLToJSONStrict(read(t, "k8s/nats-values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := json.UnmarshalStrict(text, &v) // unlike yaml's it tells fileStore from filestore
	if err != nil || unknown != nil {
		t.Fatal(err, unknown)
	}
	if v.Config.Merge["00$include"] != "users.conf" || !v.Config.JetStream.Enabled || !v.Config.Cluster.Enabled {
		t.Errorf("config %+v", v.Config)
	}
	all := decode(t, kustomize(t))
	users := read(t, "nats/users.conf")
	variables := regexp.MustCompile(`password: \$([A-Z]+_PASSWORD)`).FindAllSubmatch(users, -1)
	if n := len(regexp.MustCompile(`user: `).FindAll(users, -1)); n == 0 || len(variables) != n {
		t.Errorf("%d users have %d passwords", n, len(variables))
	}
	for _, m := range variables {
		env, _ := v.Container.Env[string(m[1])].(map[string]any)
		from, _ := env["valueFrom"].(map[string]any)
		ref, _ := from["secretKeyRef"].(map[string]any)
		name, _ := ref["name"].(string)
		key, _ := ref["key"].(string)
		if !slices.Contains(all.secrets[name], key) || !strings.EqualFold(key+"_PASSWORD", string(m[1])) {
			t.Errorf("%s comes from key %q of secret %q", m[1], key, name)
		}
	}
}

// project loads Compose files as docker compose does, with the profiles.
func project(t *testing.T, files ...string) *types.Project {
	t.Helper()
	dir := filepath.Join(deploy, "compose")
	var paths []string
	for _, f := range files {
		paths = append(paths, filepath.Join(dir, f))
	}
	opts, err := cli.NewProjectOptions(paths, cli.WithWorkingDirectory(dir), cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := opts.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCompose(t *testing.T) {
	made := map[string]bool{"nats_passwords": true}
	for _, m := range regexp.MustCompile(`for name in ([a-z_ ]+); do`).FindAllSubmatch(read(t, "secrets.sh"), 1) {
		for _, name := range strings.Fields(string(m[1])) {
			made[name] = true
		}
	}
	p := project(t, "compose.yaml")
	for name, secret := range p.Secrets {
		if !made[filepath.Base(secret.File)] {
			t.Errorf("secret %s: secrets.sh makes no %s", name, secret.File)
		}
	}
	for name, config := range p.Configs {
		if _, err := os.Stat(config.File); err != nil {
			t.Errorf("config %s: %v", name, err)
		}
	}
	ran := 0
	for name, s := range p.Services {
		if s.Image != "bintubridge" {
			continue
		}
		ran++
		t.Run(name, func(t *testing.T) { checkComposed(t, s) })
	}
	if ran != 7 {
		t.Errorf("%d services of ours", ran)
	}
	analytics := project(t, "compose.yaml", "postgres.yaml").Services["analytics"]
	checkComposed(t, analytics)
	if analytics.Environment["CONSUMER_ANALYTICS_DSN_FILE"] == nil {
		t.Errorf("environment %v", analytics.Environment)
	}
}

func checkComposed(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	var names []string
	for name, value := range s.Environment {
		names = append(names, name)
		if value == nil {
			t.Errorf("%s has no value", name)
		} else if strings.HasSuffix(name, "_FILE") && !slices.ContainsFunc(s.Secrets, func(c types.ServiceSecretConfig) bool { return "/run/secrets/"+c.Source == *value }) {
			t.Errorf("%s=%s: no secret is there", name, *value)
		}
	}
	checkVariables(t, s.Name, names)
	if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") {
		t.Error("it may too much")
	}
	if lasting := s.Restart == types.RestartPolicyUnlessStopped; lasting {
		if s.HealthCheck == nil || s.HealthCheck.Disable {
			t.Error("it has no health check")
		}
		if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < leastGrace*time.Second {
			t.Errorf("it gets too little time to end: %v", s.StopGracePeriod)
		}
	}
}
