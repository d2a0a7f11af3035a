// A compiled proto as the rows of test/vectors/cri-v1.tsv: kind, owner, name, number, type, note.

import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  type FileDescriptorProto,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";

export function rowsOf(file: FileDescriptorProto): string[] {
  const rpcs = file.service.flatMap((service) =>
    service.method.map((method) => {
      const request = `${method.clientStreaming ? "stream " : ""}${lastPart(method.inputType)}`;
      const response = `${method.serverStreaming ? "stream " : ""}${lastPart(method.outputType)}`;
      return row("rpc", service.name, method.name, "", request, response);
    }),
  );
  const enums = file.enumType.flatMap((type) => enumRows(type, type.name));
  return [...rpcs, ...file.messageType.flatMap(messageRows), ...enums];
}

function messageRows(message: DescriptorProto): string[] {
  const maps = new Map(
    message.nestedType.filter((nested) => nested.options?.mapEntry).map((nested) => [nested.name, nested]),
  );
  const fields = message.field.map((field) => {
    const entry = maps.get(lastPart(field.typeName));
    const type = entry === undefined ? fieldType(field) : mapType(entry);
    const note = field.options?.deprecated ? "deprecated" : "";
    return row("field", message.name, field.name, String(field.number), type, note);
  });
  const enums = message.enumType.flatMap((type) => enumRows(type, `${message.name}.${type.name}`));
  const others = message.nestedType.filter((nested) => !nested.options?.mapEntry);
  if (others.length > 0) throw new Error(`message "${message.name}" holds messages; the CRI has none such`);
  return [row("message", message.name, "", "", "", ""), ...fields, ...enums];
}

function enumRows(type: EnumDescriptorProto, owner: string): string[] {
  return type.value.map(({ name, number }) => row("enum", owner, name, String(number), "", ""));
}

function mapType(entry: DescriptorProto): string {
  const [key, value] = entry.field.map(fieldType);
  return `map<${key},${value}>`;
}

function fieldType(field: FieldDescriptorProto): string {
  const named = field.type === Type.MESSAGE || field.type === Type.ENUM;
  const type = named ? lastPart(field.typeName) : (Type[field.type] ?? "").toLowerCase();
  return field.label === Label.REPEATED ? `repeated ${type}` : type;
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}

function row(...cells: string[]): string {
  return cells.join("\t");
}
