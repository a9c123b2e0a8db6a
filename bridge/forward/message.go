package forward

import (
	"github.com/nats-io/nats.go"

	"bintubridge/subjects"
)

// message builds what is published for a record. It copies: the client keeps a
// message until its ack.
func message(rec []byte, id string) (*nats.Msg, error) {
	env, event, err := decodeRecord(rec)
	if err != nil {
		return nil, err
	}
	data, err := subjects.AppendWithID(make([]byte, 0, len(event)+len(id)), event, id)
	if err != nil {
		return nil, err
	}
	header := nats.Header{
		subjects.HeaderMsgID:       {id},
		subjects.HeaderSpecVersion: {subjects.SpecVersion},
		subjects.HeaderID:          {id},
		subjects.HeaderSource:      {string(env.Source)},
		subjects.HeaderType:        {string(env.Type)},
		subjects.HeaderTime:        {string(env.Time)},
		subjects.HeaderContentType: {subjects.ContentType},
	}
	if len(env.About) > 0 {
		header[subjects.HeaderSubject] = []string{string(env.About)}
	}
	return &nats.Msg{Subject: string(env.Subject), Header: header, Data: data}, nil
}
