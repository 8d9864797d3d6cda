package main

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"unicode/utf8"
)

var _ = math.Pi

func tag(v reflect.Value) interface{} {
	if v.IsValid() && v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if !v.IsValid() {
		return []interface{}{"none"}
	}
	switch v.Kind() {
	case reflect.Bool:
		return []interface{}{"bool", v.Bool()}
	case reflect.Int, reflect.Uint64:
		return []interface{}{"int", fmt.Sprint(v)}
	case reflect.Float64:
		return []interface{}{"float", strconv.FormatFloat(v.Float(), 'g', -1, 64)}
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			panic("the text is not UTF-8")
		}
		return []interface{}{"str", v.String()}
	case reflect.Slice:
		items := []interface{}{}
		for i := 0; i < v.Len(); i++ {
			items = append(items, tag(v.Index(i)))
		}
		return []interface{}{"list", items}
	case reflect.Map:
		entries := []interface{}{}
		for _, key := range v.MapKeys() {
			entries = append(entries, []interface{}{key.String(), tag(v.MapIndex(key))})
		}
		return []interface{}{"dict", entries}
	}
	panic("a type that no parameter has")
}

func emit(v interface{}) {
	line, _ := json.Marshal(tag(reflect.ValueOf(v)))
	fmt.Println(string(line))
}
