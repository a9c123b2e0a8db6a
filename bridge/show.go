package bridge

import (
	"bintubridge/bridge/admin"
	"bintubridge/subjects"
)

// maxBrief bounds a text of an event that is too large for the feed, in bytes.
const maxBrief = 128

// show gives the event to the operator's page, without the fields that a client
// chooses when it is too large. The exchange's event is not good for anything after it.
func (a *answerer) show(x *exchange, outcome subjects.Outcome, seq uint64) {
	shown := admin.Shown{Outcome: outcome.String(), Seq: seq, Cut: len(x.record)-x.eventAt > admin.MaxShown}
	if shown.Cut {
		e := &x.event
		for _, text := range []*string{
			&e.Call, &e.Name, &e.App, &e.Addr, &e.ClientID, &e.Type, &e.FlashVer, &e.SWFURL, &e.TCURL, &e.PageURL, &e.Recorder, &e.Path,
		} {
			*text = (*text)[:min(len(*text), maxBrief)]
		}
		e.BytesIn, e.BytesOut, e.Time, e.Timestamp = "", "", "", ""
		e.Start, e.Duration, e.Reset, e.Epoch = "", "", "", ""
		e.Custom, e.Extra, e.Raw = subjects.Fields{}, subjects.Fields{}, ""
		x.record = e.AppendJSON(x.record[:x.eventAt])
	}
	a.feed.Offer(shown, x.record[x.eventAt:])
}
