package viewer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// However the pictures end, the page notices, says so and plays again.
func TestLostVideoIsNoticed(t *testing.T) {
	t.Parallel()
	type loss struct {
		says       []string // any of these
		lose, mend func(*station)
		station    *station
		browser    *browser
	}
	losses := []*loss{
		{says: []string{"the connection broke", "no picture comes"}, lose: func(s *station) { s.wire.cut.Store(true) }, mend: func(s *station) { s.wire.cut.Store(false) }},
		{says: []string{"no picture comes"}, lose: func(s *station) { s.paused.Store(true) }, mend: func(s *station) { s.paused.Store(false) }},
		{says: []string{"the server ended it"}, lose: (*station).hangUp, mend: func(*station) {}},
	}
	const notice = `said.find((text) => text.startsWith("No video: "))`
	for _, l := range losses { // the page is patient, so all wait at the same time
		l.station = newStation(t, "", gate)
		l.browser = newBrowser(t, l.station.URL)
		l.browser.do(chromedp.Navigate(l.station.URL))
		l.browser.await(playing("gate"))
		ask[bool](l.browser, `window.said = [], new MutationObserver(() => said.push(`+field("gate", "playback")+`))`+
			`.observe(`+tile("gate")+`, { subtree: true, childList: true, characterData: true }), true`)
		l.lose(l.station)
	}
	for i, l := range losses {
		l.browser.await(notice)
		text := ask[string](l.browser, notice)
		if !slices.ContainsFunc(l.says, func(cause string) bool { return strings.HasPrefix(text, "No video: "+cause+". Trying again in") }) {
			t.Errorf("the wait reads %q, not %q", text, l.says)
		}
		l.browser.picture(fmt.Sprint("waiting-", i))
		l.mend(l.station)
		l.browser.await(playing("gate"))
		if offers := l.station.made(); offers < 2 {
			t.Errorf("%q: %d sessions were made", l.says, offers)
		}
	}
}
