// Package configs_test checks the deployment that docker-compose.yml, the Dockerfile and this folder describe, as far as that
// can be done without a Docker daemon. tools/setup/compose.sh checks docker-compose.yml against the compose specification.
package configs_test

import (
	"bufio"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sightline/sightline/pipeline"
)

// service is what this test reads of a service of docker-compose.yml.
type service struct {
	Image       string
	Build       struct{ Target string }
	Command     []string
	User        string
	ReadOnly    bool     `yaml:"read_only"`
	Privileged  bool     `yaml:"privileged"`
	CapAdd      []string `yaml:"cap_add"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	NetworkMode string   `yaml:"network_mode"`
	Pid, Ipc    string
	Ports       []string
	Environment map[string]string
	Healthcheck struct{ Test []string }
}

func composeServices(t *testing.T) map[string]service {
	t.Helper()
	data, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Services map[string]service }
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	return file.Services
}

func TestComposeServicesAreConfined(t *testing.T) {
	for name, s := range composeServices(t) {
		for _, rule := range []struct {
			ok   bool
			text string
		}{
			{regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(s.User), "user must be a number other than root's, with its group"},
			{s.ReadOnly, "read_only must be true"},
			{!s.Privileged, "privileged must not be set"},
			{len(s.CapAdd) == 0, "cap_add must be empty"},
			{slices.Equal(s.CapDrop, []string{"ALL"}), "cap_drop must be ALL"},
			{slices.Contains(s.SecurityOpt, "no-new-privileges:true"), "security_opt must hold no-new-privileges:true"},
			{s.NetworkMode == "" && s.Pid == "" && s.Ipc == "", "the host's network, processes and memory must not be shared"},
			{len(s.Healthcheck.Test) > 1 && s.Healthcheck.Test[0] == "CMD", "healthcheck must be a command"},
		} {
			if !rule.ok {
				t.Errorf("docker-compose.yml: %s: %s", name, rule.text)
			}
		}
	}
}

func TestComposePublishesOnlyThePageOnLoopback(t *testing.T) {
	for name, s := range composeServices(t) {
		want := []string(nil)
		if name == "sinks" {
			want = []string{"127.0.0.1:8889:8889"}
		}
		if !slices.Equal(s.Ports, want) {
			t.Errorf("docker-compose.yml: %s: publishes %v, want %v", name, s.Ports, want)
		}
	}
}

func TestComposeRunsEveryRoleOnce(t *testing.T) {
	var found pipeline.Roles
	for name, s := range composeServices(t) {
		i := slices.Index(s.Command, "--roles")
		if i < 0 {
			continue
		}
		roles, err := pipeline.ParseRoles(s.Command[i+1])
		if err != nil {
			t.Errorf("docker-compose.yml: %s: %v", name, err)
		}
		found = append(found, roles...)
	}
	want, err := pipeline.ParseRoles("")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	if want := slices.Sorted(slices.Values(want)); !slices.Equal(found, want) {
		t.Errorf("docker-compose.yml runs the roles %v, want %v", found, want)
	}
}

// A secret that is not set must stop `docker compose up` with a word on what to set.
func TestComposeTakesSecretsFromTheEnvironment(t *testing.T) {
	secret := regexp.MustCompile(`TOKEN|PASSWORD`)
	for name, s := range composeServices(t) {
		for key, value := range s.Environment {
			if secret.MatchString(key) && !strings.HasPrefix(strings.Trim(value, `"`), "${"+key+":?") {
				t.Errorf("docker-compose.yml: %s: %s must be ${%s:?…}, is %q", name, key, key, value)
			}
		}
	}
}

func TestComposeConfigurationLoads(t *testing.T) {
	t.Setenv("SIGHTLINE_TOKEN", "0123456789abcdef")
	t.Setenv("SIGHTLINE_BUS_PASSWORD", "0123456789abcdef")
	cfg, err := pipeline.Load("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := "nats://sightline:0123456789abcdef@nats:4222"; cfg.Bus.URL != want {
		t.Errorf("bus.url is %q, want %q", cfg.Bus.URL, want)
	}
	if cfg.Frames.Transport != "jpeg" {
		t.Errorf("frames.transport is %q, but containers share no memory", cfg.Frames.Transport)
	}
}

// stage is one FROM of the Dockerfile.
type stage struct{ base, user string }

func dockerStages(t *testing.T) map[string]stage {
	t.Helper()
	file, err := os.Open("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	stages, current := map[string]stage{}, ""
	for lines := bufio.NewScanner(file); lines.Scan(); {
		switch words := strings.Fields(lines.Text()); {
		case len(words) == 4 && words[0] == "FROM":
			current = words[3]
			stages[current] = stage{base: words[1], user: stages[words[1]].user}
		case len(words) == 2 && words[0] == "USER":
			stages[current] = stage{base: stages[current].base, user: words[1]}
		}
	}
	return stages
}

func TestImagesArePinnedAndNotRoot(t *testing.T) {
	stages := dockerStages(t)
	pinned := regexp.MustCompile(`^[a-z/]+:\d+\.\d+`)
	for name, s := range stages {
		if _, ours := stages[s.base]; !ours && !pinned.MatchString(s.base) {
			t.Errorf("Dockerfile: %s: %s names no version", name, s.base)
		}
	}
	for name, s := range composeServices(t) {
		if user := stages[s.Build.Target].user; user != s.User {
			t.Errorf("docker-compose.yml: %s runs as %s, its image %s as %q", name, s.User, s.Build.Target, user)
		}
	}
}

// The Dockerfile names the library by its path, which tools/setup/onnxruntime.sh decides.
func TestDockerfileCopiesThePinnedLibrary(t *testing.T) {
	script, err := os.ReadFile("../tools/setup/onnxruntime.sh")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^version=(.+)$`).FindSubmatch(script)
	if version == nil {
		t.Fatal("tools/setup/onnxruntime.sh sets no version")
	}
	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`(?:onnxruntime-|onnxruntime\.so\.)([\d.]+\d)`).FindAllSubmatch(dockerfile, -1) {
		if string(found[1]) != string(version[1]) {
			t.Errorf("Dockerfile: %s, but the pinned version is %s", found[0], version[1])
		}
	}
}

// Every file that the services mount from this repository is there.
func TestComposeMountsWhatIsThere(t *testing.T) {
	data, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	mounts := map[string]bool{}
	for _, m := range regexp.MustCompile(`- (\./[^:]+):`).FindAllSubmatch(data, -1) {
		mounts[string(m[1])] = true
	}
	if len(mounts) == 0 {
		t.Fatal("docker-compose.yml mounts nothing of this repository")
	}
	for path := range maps.Keys(mounts) {
		if _, err := os.Stat(filepath.Join("..", path)); err != nil {
			t.Errorf("docker-compose.yml: %v", err)
		}
	}
}
