package evening

import (
	"math"
	"strconv"
	"time"

	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
)

// What is the same for everybody. Media server and encoder are those of the captures.
const (
	app     = "live" // a stream's players watch it in the app it is published to
	tcURL   = "rtmp://media.example/live"
	encoder = "FMLE/3.0 (compatible; Lavf59.27.100)"
	player  = "LNX 10,0,32,18"

	maxFlashVer = 32                        // bytes that nginx-rtmp keeps, its NUL included
	liveStart   = math.MaxUint32 + 1 - 2000 // a play's start of -2000: live, or recorded
	greeting    = 440                       // bytes of a handshake that is all there was
	control     = 12                        // bytes/s that go the other way
	lastPacket  = 77 * time.Millisecond     // before the update
	bitsPerByte = 8
)

// wire is what changes from one request of a connection to the next.
type wire struct {
	call   subjects.Call
	id     uint32
	name   string
	lasted time.Duration // since the connection asked
}

// body is the request's body. Numbers are as wide as the media server's.
func (conn *connection) body(o *Options, w wire) []byte {
	seconds := w.lasted.Seconds()
	media := number(uint32(uint64(seconds*float64(conn.bitrate)/bitsPerByte) + greeting))
	chatter := number(uint32(uint64(seconds*control) + greeting))
	r := webhook.Request{
		Call: w.call, Name: w.name, App: app, Addr: conn.addr, ClientID: number(w.id),
		FlashVer: encoder, TCURL: tcURL, Type: "live",
		Start: number(uint32(liveStart)), Duration: "0", Reset: "0",
		Time:      number(uint32(seconds)),
		Timestamp: strconv.FormatInt(int64(int32(max(0, w.lasted-lastPacket).Milliseconds())), 10),
		BytesIn:   media, BytesOut: chatter,
	}
	if conn.kind == subjects.KindPlay {
		r.FlashVer, r.BytesIn, r.BytesOut = player, chatter, media
	}
	if o.Dialect == webhook.NginxRTMP {
		r.FlashVer = r.FlashVer[:min(len(r.FlashVer), maxFlashVer-1)]
	}
	args := conn.args
	if w.call == subjects.Play && w.name == conn.victim {
		args = ""
	}
	return webhook.AppendBody(nil, o.Dialect, &r, args)
}

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
