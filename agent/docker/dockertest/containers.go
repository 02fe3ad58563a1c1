package dockertest

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// createRequest is what the Fake reads of the body of POST /containers/create.
type createRequest struct {
	Image      string
	Labels     map[string]string
	Env, Cmd   []string
	HostConfig struct {
		NetworkMode   string
		Memory        int64
		NanoCpus      int64
		RestartPolicy restartPolicy
	}
}

// Private

func (f *Fake) createContainer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var req createRequest
	var raw map[string]any
	if err == nil {
		err = json.Unmarshal(body, &req)
	}
	if err == nil {
		err = json.Unmarshal(body, &raw)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	f.work("create")
	c, no := f.create(r.URL.Query().Get("name"), req, raw)
	if no != nil {
		no.write(w)
		return
	}
	f.events.publish(c, "create", nil)
	answer(w, http.StatusCreated, map[string]any{"Id": c.ID, "Warnings": []string{}})
}

func (f *Fake) create(name string, req createRequest, raw map[string]any) (*instance, *refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	image := f.image(req.Image)
	if image == nil {
		return nil, refusef(http.StatusNotFound, "No such image: %s", req.Image)
	}
	for _, c := range f.containers {
		if c.Name == name {
			return nil, refusef(http.StatusConflict, "Conflict. The container name %q is already in use by container %q. "+
				"You have to remove (or rename) that container to be able to reuse that name.", "/"+name, c.ID)
		}
	}
	host, _ := raw["HostConfig"].(map[string]any)
	delete(raw, "HostConfig")
	delete(raw, "NetworkingConfig")
	labels := maps.Clone(image.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, req.Labels)
	raw["Labels"] = labels
	network := req.HostConfig.NetworkMode
	if network == "" || network == "default" {
		network = "bridge"
	}
	c := &instance{
		Container: Container{
			ID: f.nextID(name), Name: name, Image: req.Image, ImageID: image.id, Labels: labels, Env: req.Env, Command: req.Cmd,
			Network: network, Memory: req.HostConfig.Memory, NanoCPUs: req.HostConfig.NanoCpus, State: "created",
		},
		image: image, config: raw, host: host, policy: req.HostConfig.RestartPolicy, created: time.Now(),
	}
	f.containers[c.ID] = c
	return c, nil
}

func (f *Fake) listContainers(w http.ResponseWriter, r *http.Request) {
	want, err := parseFilters(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	f.mu.Lock()
	list := []map[string]any{}
	for _, c := range f.containers {
		if (isSet(r, "all") || c.State == "running") && want.matchLabels(c.Labels) {
			list = append(list, c.summary())
		}
	}
	f.mu.Unlock()
	answer(w, http.StatusOK, list)
}

func (f *Fake) inspectContainer(w http.ResponseWriter, _ *http.Request, c *instance) {
	f.mu.Lock()
	body, err := json.Marshal(c.inspection())
	f.mu.Unlock()
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	answer(w, http.StatusOK, json.RawMessage(body))
}

func (f *Fake) startContainer(w http.ResponseWriter, _ *http.Request, c *instance) {
	f.work("start")
	if no := f.start(c); no != nil {
		no.write(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (f *Fake) stopContainer(w http.ResponseWriter, r *http.Request, c *instance) {
	grace := 10 * time.Second
	if seconds, err := strconv.Atoi(r.URL.Query().Get("t")); err == nil {
		grace = time.Duration(seconds) * time.Second
	}
	f.mu.Lock()
	state := c.State
	c.byHand = true
	if state == "restarting" {
		c.cancelRestart()
		c.State = "exited"
	}
	f.mu.Unlock()
	if state != "running" && state != "paused" {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	f.work("stop")
	f.events.publish(c, "kill", map[string]string{"signal": "15"})
	code := 0
	if takes := c.image.StopTakes; takes > grace {
		time.Sleep(grace)
		f.events.publish(c, "kill", map[string]string{"signal": "9"})
		code = 137
	} else {
		time.Sleep(takes)
	}
	f.die(c, code, false)
	f.events.publish(c, "stop", nil)
	w.WriteHeader(http.StatusNoContent)
}

func (f *Fake) killContainer(w http.ResponseWriter, r *http.Request, c *instance) {
	signal := r.URL.Query().Get("signal")
	code := 137
	if signal == "TERM" || signal == "SIGTERM" || signal == "15" {
		code = 143
	}
	f.mu.Lock()
	running := c.State == "running" || c.State == "paused"
	f.mu.Unlock()
	if !running {
		refuse(w, http.StatusConflict, "Cannot kill container: "+c.ID+": Container "+c.ID+" is not running")
		return
	}
	f.events.publish(c, "kill", map[string]string{"signal": signal})
	f.die(c, code, false)
	w.WriteHeader(http.StatusNoContent)
}

func (f *Fake) pauseContainer(w http.ResponseWriter, _ *http.Request, c *instance) {
	f.swapState(w, c, "running", "paused", "pause")
}

func (f *Fake) unpauseContainer(w http.ResponseWriter, _ *http.Request, c *instance) {
	f.swapState(w, c, "paused", "running", "unpause")
}

func (f *Fake) swapState(w http.ResponseWriter, c *instance, from, to, action string) {
	f.mu.Lock()
	is := c.State
	if is == from {
		c.State = to
	}
	f.mu.Unlock()
	if is != from {
		refuse(w, http.StatusConflict, "Container "+c.ID+" is not "+from)
		return
	}
	f.events.publish(c, action, nil)
	w.WriteHeader(http.StatusNoContent)
}

func (f *Fake) removeContainer(w http.ResponseWriter, r *http.Request, c *instance) {
	f.mu.Lock()
	running := c.State == "running" || c.State == "paused"
	if !running || isSet(r, "force") {
		c.byHand = true
		c.cancelRestart()
	}
	f.mu.Unlock()
	if running && !isSet(r, "force") {
		refuse(w, http.StatusConflict, "You cannot remove a running container "+c.ID+". Stop the container before attempting removal or force remove")
		return
	}
	f.work("remove")
	if running {
		f.events.publish(c, "kill", map[string]string{"signal": "9"})
		f.die(c, 137, false)
	}
	f.mu.Lock()
	_, there := f.containers[c.ID]
	delete(f.containers, c.ID)
	f.mu.Unlock()
	if there {
		f.events.publish(c, "destroy", nil)
	}
	w.WriteHeader(http.StatusNoContent)
}

// containerLogs answers in Docker's multiplexed form: 8 bytes that tell stream
// and length before each line.
func (f *Fake) containerLogs(w http.ResponseWriter, r *http.Request, c *instance) {
	f.mu.Lock()
	lines := slices.Clone(c.log)
	f.mu.Unlock()
	if tail, err := strconv.Atoi(r.URL.Query().Get("tail")); err == nil && tail < len(lines) {
		lines = lines[len(lines)-tail:]
	}
	w.WriteHeader(http.StatusOK)
	for _, line := range lines {
		frame := binary.BigEndian.AppendUint32([]byte{1, 0, 0, 0}, uint32(len(line)+1)) //nolint:gosec // lines of tests are short.
		_, _ = w.Write(append(append(frame, line...), '\n'))
	}
}
