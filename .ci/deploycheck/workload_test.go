package deploycheck

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// leastGrace is what a bridge may need to end: callers, the spool, the admin listener, and the pause before.
const leastGrace = 30

func checkWorkload(t *testing.T, all objects, w workload) {
	if w.selector != nil && !has(w.pod.Labels, w.selector) {
		t.Errorf("it selects %v, and its pods have %v", w.selector, w.pod.Labels)
	}
	pod := w.pod.Spec
	if grace := pod.TerminationGracePeriodSeconds; w.selector != nil && (grace == nil || *grace < leastGrace) {
		t.Errorf("pods get too little time to end: %v", grace)
	}
	if s := pod.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.SeccompProfile == nil {
		t.Errorf("pods may be root's: %+v", s)
	}
	for _, spread := range pod.TopologySpreadConstraints {
		if !has(w.pod.Labels, spread.LabelSelector.MatchLabels) {
			t.Errorf("it spreads %v", spread.LabelSelector.MatchLabels)
		}
	}
	mounts := sources(t, all, w)
	for _, c := range pod.Containers {
		checkContainer(t, c)
		if w.selector != nil && (c.LivenessProbe == nil || c.ReadinessProbe == nil) {
			t.Errorf("%s has no probes", c.Name)
		}
		env := map[string]string{}
		for _, from := range c.EnvFrom {
			data, ok := all.configs[from.ConfigMapRef.Name]
			if !ok {
				t.Errorf("%s: there is no ConfigMap %s", c.Name, from.ConfigMapRef.Name)
			}
			for name, value := range data {
				env[name] = value
			}
		}
		for _, e := range c.Env {
			env[e.Name] = e.Value
			if e.ValueFrom != nil && (e.ValueFrom.FieldRef == nil || e.ValueFrom.FieldRef.FieldPath != "metadata.name") {
				t.Errorf("%s: nobody looks at %+v", e.Name, e.ValueFrom)
			}
		}
		var names []string
		for name, value := range env {
			names = append(names, name)
			if strings.HasSuffix(name, "_FILE") {
				checkFile(t, name, value, c, mounts)
			}
		}
		checkVariables(t, w.name, names)
		checkMemory(t, env["GOMEMLIMIT"], c.Resources.Limits.Memory())
	}
}

// sources returns the keys of each secret that a volume of the workload shows, by the volume's name, and
// nil for a disk.
func sources(t *testing.T, all objects, w workload) map[string][]string {
	volumes := map[string][]string{}
	for _, claim := range w.claims {
		volumes[claim.Name] = nil
	}
	for _, v := range w.pod.Spec.Volumes {
		switch {
		case v.Secret != nil:
			keys, ok := all.secrets[v.Secret.SecretName]
			if !ok {
				t.Errorf("volume %s: there is no Secret %s", v.Name, v.Secret.SecretName)
			}
			volumes[v.Name] = keys
		case v.PersistentVolumeClaim != nil:
			if !all.claims[v.PersistentVolumeClaim.ClaimName] {
				t.Errorf("volume %s: there is no claim %s", v.Name, v.PersistentVolumeClaim.ClaimName)
			}
			volumes[v.Name] = nil
		default:
			t.Errorf("nobody looks at volume %s", v.Name)
		}
	}
	for _, c := range w.pod.Spec.Containers {
		for _, m := range c.VolumeMounts {
			if _, ok := volumes[m.Name]; !ok {
				t.Errorf("%s: there is no volume %s", c.Name, m.Name)
			}
		}
	}
	return volumes
}

func checkContainer(t *testing.T, c corev1.Container) {
	if !strings.HasPrefix(c.Image, "registry.example/bintubridge:") {
		t.Errorf("%s: image %s", c.Name, c.Image)
	}
	s := c.SecurityContext
	if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
		s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") {
		t.Errorf("%s may too much: %+v", c.Name, s)
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("%s: resources %+v", c.Name, c.Resources)
	}
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if probe == nil {
			continue
		}
		name := probe.HTTPGet.Port.StrVal
		if !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == name }) {
			t.Errorf("%s: a probe asks at %q, which is no port", c.Name, name)
		}
		if p := probe.HTTPGet.Path; p != "/livez" && p != "/readyz" {
			t.Errorf("%s: a probe asks for %s", c.Name, p)
		}
	}
}

// checkFile holds a file that a variable names to the secret that is mounted there.
func checkFile(t *testing.T, name, file string, c corev1.Container, volumes map[string][]string) {
	for _, m := range c.VolumeMounts {
		if m.MountPath == path.Dir(file) && slices.Contains(volumes[m.Name], path.Base(file)) {
			return
		}
	}
	t.Errorf("%s=%s: no secret is there", name, file)
}

// checkMemory wants the collector to begin in earnest a little below the limit.
func checkMemory(t *testing.T, goal string, limit *resource.Quantity) {
	if goal == "" {
		return
	}
	mib, err := strconv.ParseInt(strings.TrimSuffix(goal, "MiB"), 10, 64)
	if share := float64(mib<<20) / float64(limit.Value()); err != nil || share < 0.8 || share > 0.95 {
		t.Errorf("GOMEMLIMIT=%s of %s, %v", goal, limit, err)
	}
}
