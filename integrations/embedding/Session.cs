// A support session inside another program, in C#. Never compiled: no C# compiler was available.
using System;
using System.Diagnostics;
using System.Text.Json;
using System.Threading;

var session = Process.Start(new ProcessStartInfo("etatuki", "session ecom")
{
    RedirectStandardInput = true,
    RedirectStandardOutput = true,
    UseShellExecute = false,
})!;
string? line;
var question = 0;
while ((line = session.StandardOutput.ReadLine()) != null)
{
    var @event = JsonDocument.Parse(line).RootElement;
    var type = @event.GetProperty("type").GetString();
    // A question accepts no answer in its first second, and stays open.
    var early = type == "error" && @event.GetProperty("name").GetString() == "too-early";
    if (early) Thread.Sleep(1000);
    // What was typed before a question is no answer to it.
    if ((early || type == "ask") && !Console.IsInputRedirected)
        while (Console.KeyAvailable) Console.ReadKey(true);
    if (early) Console.WriteLine("Vastasit liian pian. Lue kysymys ja vastaa uudelleen");
    else if (@event.TryGetProperty("text", out var text)) Console.WriteLine(text);
    if (type == "code")
        foreach (var field in @event.GetProperty("fields").EnumerateArray())
            Console.WriteLine($"{field.GetProperty("kind")}: {field.GetProperty("digits")}");
    if (type == "ask") question = @event.GetProperty("id").GetInt32();
    if (type != "ask" && !early) continue;
    Console.WriteLine("(k = kyllä)");
    var answer = new { type = "answer", id = question, allow = Console.ReadLine() == "k" };
    session.StandardInput.WriteLine(JsonSerializer.Serialize(answer));
    session.StandardInput.Flush();
}
session.WaitForExit();
return session.ExitCode;
