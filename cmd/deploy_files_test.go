package cmd_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// container is one that testdata/deploy describes.
type container struct {
	name    string
	command []string          // the program of the image, and its arguments
	env     map[string]string // the image's and its own; a file of a secret by its name in the folder of secrets.sh
	health  []string          // what its health check runs
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// imageEnv is what the image sets.
func imageEnv(t *testing.T) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^ENV (.+)$`).FindAllSubmatch(readFile(t, "Dockerfile"), -1) {
		for _, entry := range strings.Fields(string(line[1])) {
			name, value, _ := strings.Cut(entry, "=")
			env[name] = value
		}
	}
	return env
}

// entrypoint is the image's.
const entrypoint = "/bridge"

// composed returns the services of compose.yaml that run the image.
func composed(t *testing.T) map[string]container {
	t.Helper()
	var file struct {
		Services map[string]struct {
			Image       string
			Entrypoint  []string
			Command     []string
			Environment map[string]string
			Healthcheck struct{ Test []string }
		}
		Secrets map[string]struct{ File string }
	}
	if err := yaml.Unmarshal(readFile(t, "testdata/deploy/compose/compose.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	all := map[string]container{}
	for name, s := range file.Services {
		if !strings.Contains(s.Image, "bintubridge") {
			continue
		}
		c := container{name: name, command: append(s.Entrypoint, s.Command...), env: imageEnv(t)}
		if s.Entrypoint == nil {
			c.command = append([]string{entrypoint}, s.Command...)
		}
		if len(s.Healthcheck.Test) > 1 {
			c.health = s.Healthcheck.Test[1:] // behind CMD
		}
		for variable, value := range s.Environment {
			if strings.HasSuffix(variable, "_FILE") {
				value = path.Base(file.Secrets[path.Base(value)].File)
			}
			c.env[variable] = value
		}
		all[name] = c
	}
	return all
}

// kubernetes returns the containers of testdata/deploy/k8s.
func kubernetes(t *testing.T) map[string]container {
	t.Helper()
	const dir = "testdata/deploy/k8s/"
	var kustomization struct {
		Resources []string
		Secrets   []struct {
			Name  string
			Files []string
		} `yaml:"secretGenerator"`
	}
	if err := yaml.Unmarshal(readFile(t, dir+"kustomization.yaml"), &kustomization); err != nil {
		t.Fatal(err)
	}
	secrets := map[string]map[string]string{} // name, key: file
	for _, s := range kustomization.Secrets {
		secrets[s.Name] = map[string]string{}
		for _, entry := range s.Files {
			key, file, _ := strings.Cut(entry, "=")
			secrets[s.Name][key] = path.Base(file)
		}
	}
	all := map[string]container{}
	for _, name := range kustomization.Resources {
		decoder := yaml.NewDecoder(bytes.NewReader(readFile(t, dir+name)))
		for {
			var object manifest
			if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(object.Spec.Template.Spec.Containers) == 1 {
				c := object.container(t, dir, secrets)
				all[c.name] = c
			}
		}
	}
	return all
}

// manifest is as much as is wanted here of what makes pods.
type manifest struct {
	Metadata struct{ Name string }
	Spec     struct {
		Template struct {
			Spec struct {
				Containers []struct {
					Command, Args []string
					EnvFrom       []struct {
						ConfigMapRef struct{ Name string } `yaml:"configMapRef"`
					} `yaml:"envFrom"`
					Env []struct{ Name, Value string }
				}
				Volumes []struct {
					Secret struct {
						SecretName string `yaml:"secretName"`
					}
				}
			}
		}
	}
}

func (m manifest) container(t *testing.T, dir string, secrets map[string]map[string]string) container {
	t.Helper()
	pod := m.Spec.Template.Spec
	c := container{name: m.Metadata.Name, command: []string{entrypoint}, env: imageEnv(t)}
	if pod.Containers[0].Command != nil {
		c.command = pod.Containers[0].Command
	}
	c.command = append(c.command, pod.Containers[0].Args...)
	for _, from := range pod.Containers[0].EnvFrom {
		for line := range strings.Lines(string(readFile(t, dir+from.ConfigMapRef.Name+".env"))) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			c.env[name] = value
		}
	}
	for _, e := range pod.Containers[0].Env {
		c.env[e.Name] = e.Value
	}
	files := map[string]string{}
	for _, v := range pod.Volumes {
		maps.Copy(files, secrets[v.Secret.SecretName])
	}
	for name, value := range c.env {
		if strings.HasSuffix(name, "_FILE") {
			c.env[name] = files[path.Base(value)]
		}
	}
	return c
}
