package deploycheck

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// objects are what "kubectl apply -k" would send, by kind.
type objects struct {
	workloads  []workload
	services   []*corev1.Service
	budgets    []*policyv1.PodDisruptionBudget
	policies   []*networkingv1.NetworkPolicy
	claims     map[string]bool
	configs    map[string]map[string]string
	secrets    map[string][]string // their keys
	serviceFor map[string]string   // StatefulSet -> serviceName
}

// workload is what makes pods.
type workload struct {
	name     string
	selector map[string]string // nil: a job's, which Kubernetes makes
	pod      corev1.PodTemplateSpec
	claims   []corev1.PersistentVolumeClaim
}

// kustomize renders testdata/deploy/k8s with secrets in the place of those that secrets.sh makes.
func kustomize(t *testing.T) [][]byte {
	t.Helper()
	fs := filesys.MakeFsInMemory()
	write := func(name string, text []byte) {
		if err := fs.WriteFile("/k8s/"+name, text); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(deploy, "k8s", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && !info.IsDir() {
			write(filepath.Base(file), read(t, "k8s/"+filepath.Base(file)))
		}
	}
	for _, m := range regexp.MustCompile(`for name in ([a-z_ ]+); do`).FindAllSubmatch(read(t, "secrets.sh"), 1) {
		for _, name := range strings.Fields(string(m[1])) {
			write("secrets/"+name, []byte("s3cret"))
		}
	}
	all, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, "/k8s")
	if err != nil {
		t.Fatal(err)
	}
	var documents [][]byte
	for _, r := range all.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, text)
	}
	return documents
}

// decode takes only what the types of Kubernetes know, spelt as they spell it.
func decode(t *testing.T, documents [][]byte) objects {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, policyv1.AddToScheme, networkingv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	all := objects{claims: map[string]bool{}, configs: map[string]map[string]string{}, secrets: map[string][]string{}, serviceFor: map[string]string{}}
	for _, document := range documents {
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Errorf("%v in\n%s", err, document)
			continue
		}
		switch o := object.(type) {
		case *appsv1.StatefulSet:
			all.workloads = append(all.workloads, workload{o.Name, o.Spec.Selector.MatchLabels, o.Spec.Template, o.Spec.VolumeClaimTemplates})
			all.serviceFor[o.Name] = o.Spec.ServiceName
		case *appsv1.Deployment:
			all.workloads = append(all.workloads, workload{o.Name, o.Spec.Selector.MatchLabels, o.Spec.Template, nil})
		case *batchv1.Job:
			all.workloads = append(all.workloads, workload{o.Name, nil, o.Spec.Template, nil})
		case *corev1.Service:
			all.services = append(all.services, o)
		case *policyv1.PodDisruptionBudget:
			all.budgets = append(all.budgets, o)
		case *networkingv1.NetworkPolicy:
			all.policies = append(all.policies, o)
		case *corev1.PersistentVolumeClaim:
			all.claims[o.Name] = true
		case *corev1.ConfigMap:
			all.configs[o.Name] = o.Data
		case *corev1.Secret:
			all.secrets[o.Name] = slices.Collect(maps.Keys(o.Data))
		default:
			t.Errorf("nobody looks at a %T", o)
		}
	}
	return all
}

func TestKubernetes(t *testing.T) {
	all := decode(t, kustomize(t))
	if len(all.workloads) != 4 || len(all.services) != 2 || len(all.budgets) != 1 || len(all.policies) != 3 {
		t.Errorf("%d workloads, %d services, %d budgets, %d network policies", len(all.workloads), len(all.services), len(all.budgets), len(all.policies))
	}
	for _, w := range all.workloads {
		t.Run(w.name, func(t *testing.T) { checkWorkload(t, all, w) })
	}
	for _, s := range all.services {
		checkService(t, all, s)
	}
	for name, service := range all.serviceFor {
		if !slices.ContainsFunc(all.services, func(s *corev1.Service) bool { return s.Name == service && s.Spec.ClusterIP == corev1.ClusterIPNone }) {
			t.Errorf("StatefulSet %s: there is no headless service %q", name, service)
		}
	}
	for _, b := range all.budgets {
		if len(selected(all, b.Spec.Selector.MatchLabels)) == 0 {
			t.Errorf("the budget %s is of no pods", b.Name)
		}
	}
	for _, p := range all.policies {
		checkPolicy(t, all, p)
	}
}

// selected returns the workloads whose pods have these labels.
func selected(all objects, labels map[string]string) []workload {
	var list []workload
	for _, w := range all.workloads {
		if len(labels) > 0 && has(w.pod.Labels, labels) {
			list = append(list, w)
		}
	}
	return list
}

// has reports whether labels has all of wanted.
func has(labels, wanted map[string]string) bool {
	for name, value := range wanted {
		if labels[name] != value {
			return false
		}
	}
	return true
}

// port reports whether a container of the pod has a port of this name.
func port(pod corev1.PodTemplateSpec, name string) bool {
	for _, c := range pod.Spec.Containers {
		if slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == name }) {
			return true
		}
	}
	return false
}

func checkService(t *testing.T, all objects, s *corev1.Service) {
	t.Helper()
	pods := selected(all, s.Spec.Selector)
	if len(pods) == 0 {
		t.Errorf("the service %s is of no pods", s.Name)
	}
	for _, p := range s.Spec.Ports {
		for _, w := range pods {
			if !port(w.pod, p.TargetPort.StrVal) {
				t.Errorf("service %s: the pods of %s have no port %q", s.Name, w.name, p.TargetPort.StrVal)
			}
		}
	}
}

func checkPolicy(t *testing.T, all objects, p *networkingv1.NetworkPolicy) {
	t.Helper()
	pods := selected(all, p.Spec.PodSelector.MatchLabels)
	if len(pods) == 0 {
		t.Errorf("the network policy %s is of no pods", p.Name)
	}
	for _, rule := range p.Spec.Ingress {
		for _, in := range rule.Ports {
			for _, w := range pods {
				if !port(w.pod, in.Port.StrVal) {
					t.Errorf("network policy %s: the pods of %s have no port %q", p.Name, w.name, in.Port.StrVal)
				}
			}
		}
	}
	nats := map[string]string{"app.kubernetes.io/name": "nats"} // of the chart's pods
	if !slices.ContainsFunc(p.Spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
		return len(rule.To) == 1 && rule.To[0].PodSelector != nil && maps.Equal(rule.To[0].PodSelector.MatchLabels, nats) && rule.Ports[0].Port.IntVal == 4222
	}) {
		t.Errorf("network policy %s: nothing goes to NATS", p.Name)
	}
}

// What monitor.yaml asks for is there. Its kind is of the Prometheus operator; only what is used of it is
// known here.
func TestMonitor(t *testing.T) {
	var monitor struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Metadata   map[string]string `json:"metadata"`
		Spec       struct {
			Selector struct {
				MatchLabels map[string]string `json:"matchLabels"`
			} `json:"selector"`
			Endpoints []struct {
				Port string `json:"port"`
				Path string `json:"path"`
			} `json:"podMetricsEndpoints"`
		} `json:"spec"`
	}
	if err := yaml.UnmarshalStrict(read(t, "k8s/monitor.yaml"), &monitor); err != nil {
		t.Fatal(err)
	}
	pods := selected(decode(t, kustomize(t)), monitor.Spec.Selector.MatchLabels)
	pods = slices.DeleteFunc(pods, func(w workload) bool { return w.selector == nil }) // a job has no metrics
	if len(pods) != 3 || len(monitor.Spec.Endpoints) != 1 {
		t.Errorf("%d workloads, endpoints %v", len(pods), monitor.Spec.Endpoints)
	}
	for _, w := range pods {
		if !port(w.pod, monitor.Spec.Endpoints[0].Port) {
			t.Errorf("the pods of %s have no port %q", w.name, monitor.Spec.Endpoints[0].Port)
		}
	}
}
