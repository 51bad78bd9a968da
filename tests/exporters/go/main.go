// Exports spans with the Go SDK; usage: client JOB, as tests/exporters/README.md describes it.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

type job struct {
	Trace   string
	Traces  int
	Exports []export
}

type export struct{ Protocol, Compression, Endpoint, Key string }

type entry struct {
	Key, Type string
	Value     json.RawMessage
}

type description struct {
	Resource []entry
	Scope    struct{ Name, Version string }
	Spans    []span
}

type span struct {
	Name, Kind, Start, End, Status, Message string
	Parent                                  int
	Attributes                              []entry
	Events                                  []struct {
		Name, At   string
		Attributes []entry
	}
	Links []struct {
		Trace, Span string
		Attributes  []entry
	}
}

var (
	// The SDK's own way of trying again, but for its first wait: its 5 s are half of the 10 s an export may take.
	soon = otlptracehttp.RetryConfig{
		Enabled: true, InitialInterval: 100 * time.Millisecond, MaxInterval: time.Second, MaxElapsedTime: time.Minute,
	}
	kinds = map[string]trace.SpanKind{
		"SERVER": trace.SpanKindServer, "CLIENT": trace.SpanKindClient, "INTERNAL": trace.SpanKindInternal,
	}
	statuses = map[string]codes.Code{"UNSET": codes.Unset, "OK": codes.Ok, "ERROR": codes.Error}
)

func main() {
	var work job
	var what description
	must(json.Unmarshal([]byte(os.Args[1]), &work))
	must(json.Unmarshal(value(os.ReadFile(work.Trace)), &what))
	sent := [][][]string{}
	for _, how := range work.Exports {
		sent = append(sent, exported(how, what, work.Traces))
	}
	fmt.Println(string(value(json.Marshal(sent))))
}

func exported(how export, what description, times int) [][]string {
	ctx := context.Background()
	about := value(resource.Merge(resource.Default(), resource.NewSchemaless(attributes(what.Resource)...)))
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(value(otlptrace.New(ctx, client(how)))), sdktrace.WithResource(about))
	tracer := provider.Tracer(what.Scope.Name, trace.WithInstrumentationVersion(what.Scope.Version))
	sent := [][]string{}
	for range times {
		sent = append(sent, send(ctx, tracer, what.Spans))
	}
	must(provider.ForceFlush(ctx))
	must(provider.Shutdown(ctx))
	return sent
}

func client(how export) otlptrace.Client {
	headers := map[string]string{}
	if how.Key != "" {
		headers["authorization"] = "Bearer " + how.Key
	}
	if how.Protocol == "grpc" {
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(how.Endpoint), otlptracegrpc.WithInsecure(),
			otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig(soon)), otlptracegrpc.WithHeaders(headers)}
		if how.Compression == "gzip" {
			options = append(options, otlptracegrpc.WithCompressor("gzip"))
		}
		return otlptracegrpc.NewClient(options...)
	}
	options := []otlptracehttp.Option{otlptracehttp.WithEndpoint(how.Endpoint), otlptracehttp.WithInsecure(),
		otlptracehttp.WithRetry(soon), otlptracehttp.WithHeaders(headers)}
	if how.Compression == "gzip" {
		options = append(options, otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	}
	return otlptracehttp.NewClient(options...)
}

func send(ctx context.Context, tracer trace.Tracer, described []span) []string {
	spans := []trace.Span{}
	ids := []string{}
	for _, one := range described {
		parent := ctx
		if one.Parent >= 0 {
			parent = trace.ContextWithSpan(ctx, spans[one.Parent])
		}
		_, begun := tracer.Start(parent, one.Name, trace.WithSpanKind(kinds[one.Kind]),
			trace.WithTimestamp(at(one.Start)), trace.WithLinks(links(one)...))
		begun.SetAttributes(attributes(one.Attributes)...)
		for _, event := range one.Events {
			begun.AddEvent(event.Name, trace.WithTimestamp(at(event.At)),
				trace.WithAttributes(attributes(event.Attributes)...))
		}
		begun.SetStatus(statuses[one.Status], one.Message)
		begun.End(trace.WithTimestamp(at(one.End)))
		spans = append(spans, begun)
		if len(ids) == 0 {
			ids = append(ids, begun.SpanContext().TraceID().String())
		}
		ids = append(ids, begun.SpanContext().SpanID().String())
	}
	return ids
}

func links(one span) []trace.Link {
	found := []trace.Link{}
	for _, link := range one.Links {
		to := trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: value(trace.TraceIDFromHex(link.Trace)), SpanID: value(trace.SpanIDFromHex(link.Span)),
			TraceFlags: trace.FlagsSampled, Remote: true,
		})
		found = append(found, trace.Link{SpanContext: to, Attributes: attributes(link.Attributes)})
	}
	return found
}

func attributes(entries []entry) []attribute.KeyValue {
	found := []attribute.KeyValue{}
	for _, one := range entries {
		found = append(found, read(one))
	}
	return found
}

func read(one entry) attribute.KeyValue {
	switch one.Type {
	case "string":
		return attribute.String(one.Key, as[string](one))
	case "bool":
		return attribute.Bool(one.Key, as[bool](one))
	case "int":
		return attribute.Int64(one.Key, as[int64](one))
	case "int64":
		return attribute.Int64(one.Key, value(strconv.ParseInt(as[string](one), 10, 64)))
	case "double":
		return attribute.Float64(one.Key, as[float64](one))
	case "strings":
		return attribute.StringSlice(one.Key, as[[]string](one))
	case "bools":
		return attribute.BoolSlice(one.Key, as[[]bool](one))
	case "ints":
		return attribute.Int64Slice(one.Key, as[[]int64](one))
	case "doubles":
		return attribute.Float64Slice(one.Key, as[[]float64](one))
	case "bytes":
		return attribute.ByteSlice(one.Key, value(base64.StdEncoding.DecodeString(as[string](one))))
	case "map":
		return attribute.Map(one.Key, attributes(as[[]entry](one))...)
	}
	panic("no such type: " + one.Type)
}

func as[T any](one entry) (found T) {
	must(json.Unmarshal(one.Value, &found))
	return found
}

func at(nanoseconds string) time.Time {
	return time.Unix(0, value(strconv.ParseInt(nanoseconds, 10, 64)))
}

func value[T any](found T, err error) T {
	must(err)
	return found
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
