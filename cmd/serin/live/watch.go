// Package live holds the pictures that are drawn on a terminal while things
// happen: one rollout, and the whole fleet. A picture is a bubbletea model that
// changes by messages alone: it knows no bus and no clock, and what a person asks
// for is left to a function that it was given.
package live

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// mostEvents is how many events of a rollout are kept: far more than one has.
const mostEvents = 1000

// Happened is an event of the rollout.
type Happened struct{ Event rollout.Event }

// Stands is where the rollout stands, as it was told at a time.
type Stands struct {
	Detail api.RolloutDetail
	Now    time.Time
}

// Remark stands in for news that do not come: the last picture stays.
type Remark struct {
	Text string
	Now  time.Time
}

// Ended is the end of a rollout that no event told of.
type Ended struct{ Status api.RolloutStatus }

// Over says that nothing more will come: the program ends.
type Over struct{}

// Done is what came of an Action: a sentence, or why nothing did.
type Done struct {
	Text   string
	Failed bool
}

// Watch is the picture of one rollout. Make it with NewWatch.
type Watch struct {
	frame
	steering

	o      show.Options
	detail api.RolloutDetail
	at     time.Time // of detail
	note   string    // a remark in place of news
	events []rollout.Event
	end    *api.RolloutStatus // that no event told of
	over   bool               // an end was told
}

// NewWatch returns the picture before anything is known. act carries out what a
// person asks for and says what came of it; nil for a picture that only shows.
func NewWatch(o show.Options, act func(Action) Done) Watch {
	return Watch{o: o, steering: steering{act: act}, frame: frame{pages: []string{"overview", "gates", "hosts", "events"}}}
}

// Init implements tea.Model.
func (Watch) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (w Watch) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		w.width, w.height = msg.Width, msg.Height
	case Happened:
		w = w.happened(msg.Event)
	case Stands:
		w = w.stands(msg)
	case Remark:
		w.note, w.o.Now = msg.Text, msg.Now
	case Ended:
		w.end, w.over, w.note = &msg.Status, true, ""
	case Done:
		w.said, w.bad = msg.Text, msg.Failed
	case Over:
		cmd = tea.Quit
	case tea.KeyPressMsg:
		w, cmd = w.key(msg)
	}
	w.scroll = w.clamp(w.scroll, len(w.body()))
	return w, cmd
}

// View implements tea.Model.
func (w Watch) View() tea.View {
	v := tea.NewView(w.Picture())
	v.AltScreen = true
	return v
}

// Picture is what stands on the screen: as many lines as it has, none wider.
func (w Watch) Picture() string { return w.draw(w.title(), w.body(), w.foot()) }

// Last is the picture to leave behind: all of the overview, however long.
func (w Watch) Last() string {
	w.page, w.help = 0, false
	return w.joined(append(w.title(), w.overview(endless)...))
}

// Private

func (w Watch) happened(e rollout.Event) Watch {
	w.events = append(slices.Clip(w.events), e)
	w.events = w.events[max(0, len(w.events)-mostEvents):]
	w.over = w.over || e.Phase.Final()
	return w
}

func (w Watch) stands(msg Stands) Watch {
	w.over = w.over || msg.Detail.Phase.Final()
	w.detail, w.at, w.o.Now, w.note = msg.Detail, msg.Now, msg.Now, ""
	w.steering = w.revised(w.detail)
	return w
}

func (w Watch) key(k tea.KeyPressMsg) (Watch, tea.Cmd) {
	if k.String() == "ctrl+c" {
		return w, tea.Quit
	}
	if w.ask != nil {
		var cmd tea.Cmd
		w.steering, cmd = w.answered(k, w.detail.RolloutStatus)
		return w, cmd
	}
	w.said, w.bad = "", false
	if moved, ok := w.moved(k.String(), len(w.body())); ok {
		w.frame = moved
		return w, nil
	}
	switch k.String() {
	case "q":
		return w, tea.Quit
	case "ctrl+z":
		return w, tea.Suspend
	}
	if verb, ok := verbKeys[k.String()]; ok {
		w.steering = w.asked(verb, w.detail)
	}
	return w, nil
}
